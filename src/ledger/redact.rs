//! Takes secrets out of a command before it is recorded.
//!
//! By name (`--api-key X`, `HF_TOKEN=X`, `{"token": "X"}`), by place (the password in a URL), and by
//! look (the shapes of tokens that services hand out). It errs towards hiding; a short secret under
//! an innocent name cannot be told from any other word. [`command_digest`] is for whoever knows the
//! exact command and wants to show that this was it.

use sha2::{Digest as _, Sha256};

use super::entry::CommandDigest;

/// Stands for what was taken out.
pub const REDACTED: &str = "[redacted]";

/// Parts of names whose values are secrets.
const SECRET_NAMES: [&str; 8] = [
    "key", "token", "secret", "passw", "passphr", "pwd", "auth", "cred",
];

/// Names that say by themselves that the next word is a secret, without being a flag.
const SECRET_WORDS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "credentials",
    "auth_token",
];

/// Parts of names that look like secret ones and are common in training. `authoriz…` begins like
/// `author` and is none of these.
const INNOCENT: [&str; 6] = [
    "tokeniz", "tokenis", "author", "keyframe", "keypoint", "keyword",
];

/// Beginnings of tokens, with the least number of characters that follow one.
/// GitHub: <https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/>;
/// AWS: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>; the others
/// as their services show them.
const TOKEN_SHAPES: [(&str, usize); 33] = [
    ("hf_", 20),
    ("sk-", 16),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("whsec_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("gldt-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xoxa-", 16),
    ("xoxr-", 16),
    ("xoxs-", 16),
    ("xapp-", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("ya29.", 20),
    ("eyJ", 60),
    ("nvapi-", 20),
    ("gsk_", 20),
    ("r8_", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("dop_v1_", 20),
    ("SG.", 20),
    ("wandb_v1_", 20),
];

/// SHA-256 over the salt, as it is written, and each word with a zero byte behind it. To check a
/// command that one knows:
///
/// ```text
/// (printf %s SALT; printf '%s\0' python train.py --api-key KEY) | sha256sum
/// ```
pub fn command_digest<'a>(salt: [u8; 16], words: impl Iterator<Item = &'a [u8]>) -> CommandDigest {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let salt = hex(&salt);
    let mut sum = Sha256::new();
    sum.update(&salt);
    for word in words {
        sum.update(word);
        sum.update([0]);
    }
    CommandDigest {
        salt,
        sha256: hex(&sum.finalize()),
    }
}

/// The command with [`REDACTED`] in the place of what is, or may be, a secret.
pub fn redact(argv: &[String]) -> Vec<String> {
    // The name whose value the next word is.
    let mut name: Option<&str> = None;
    let mut clean = Vec::with_capacity(argv.len());
    for word in argv {
        let is_value = name.is_some_and(|name| !is_flag(word) && is_secret_value(name, word));
        if is_value {
            // `Authorization: Bearer …` comes as one word or as several.
            let is_scheme = is_scheme(word);
            name = name.filter(|_| is_scheme);
            clean.push(match is_scheme {
                true => word.clone(),
                false => REDACTED.to_owned(),
            });
            continue;
        }
        name = asks_for_value(word).then_some(word);
        clean.push(redact_word(word));
    }
    clean
}

/// Whether the value of this word, a secret name, is the next word.
fn asks_for_value(word: &str) -> bool {
    if let Some(name) = word.strip_suffix([':', '=']) {
        return is_secret_name(name);
    }
    let is_name = match word.starts_with('-') {
        true => is_secret_name(word),
        false => SECRET_WORDS.contains(&word.to_ascii_lowercase().as_str()),
    };
    is_name && !word.contains(['=', ':', ' '])
}

/// A flag is no value. What has one dash and is long is rather a secret that begins with one.
fn is_flag(word: &str) -> bool {
    word.starts_with("--") || (word.starts_with('-') && word.len() <= 8)
}

/// Whether `value` may be a secret under a secret `name`: how many tokens there are is none.
fn is_secret_value(name: &str, value: &str) -> bool {
    let counts = name.to_ascii_lowercase().contains("tokens");
    let digits = value.trim_end_matches(|c: char| "kKmMbBtTgG".contains(c));
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || "._eE+-".contains(c));
    !(counts && is_number)
}

fn redact_word(word: &str) -> String {
    redact_tokens(&redact_values(&redact_urls(word)))
}

/// Values that stand in one word with their secret names: `NAME=value`, `Header: value`, JSON, or a
/// whole command line. What comes after the first of them is hidden with it; in the query of a URL,
/// what comes before the next `&`.
fn redact_values(word: &str) -> String {
    let mut clean = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((at, in_query)) = value_in(word, word.len() - rest.len()) {
        let from = word.len() - rest.len();
        clean.push_str(&rest[..at - from]);
        clean.push_str(REDACTED);
        let end = match in_query {
            true => word[at..]
                .find(['&', '#'])
                .map_or(word.len(), |end| at + end),
            false => word.len(),
        };
        rest = &word[end..];
    }
    clean.push_str(rest);
    clean
}

/// Where in `word`, from a place on, a secret value begins, and whether it is in the query of a URL.
fn value_in(word: &str, from: usize) -> Option<(usize, bool)> {
    let tail = &word[from..];
    for (at, separator) in tail
        .char_indices()
        .filter(|(_, c)| ['=', ':', ' '].contains(c))
    {
        let at = from + at;
        let (before, value) = (&word[..at], &word[at + 1..]);
        let name_at = before.rfind(is_before_name).map_or(0, |at| at + 1);
        let name = before[name_at..].trim_matches(['"', '\'', ' ']);
        let is_name = match separator {
            // `train --api-key value` in one word, as shells get it.
            ' ' => name.starts_with('-') && asks_for_value(name),
            _ => is_secret_name(name),
        };
        let is_path = separator == ':' && value.starts_with("//");
        let value = value.trim_start_matches(['"', '\'', ' ']);
        if !is_name || is_path || value.is_empty() || value.starts_with(REDACTED) {
            continue;
        }
        if is_flag(value) || !is_secret_value(name, value) {
            continue;
        }
        let in_query = before.contains("://") && before.contains('?') && separator == '=';
        return Some((at + 1, in_query));
    }
    None
}

/// What the name of a value follows: the part after it is what is set.
fn is_before_name(c: char) -> bool {
    [
        '/', ' ', '{', '[', '(', ',', ';', '?', '&', '=', ':', '\n', '\t',
    ]
    .contains(&c)
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token"].contains(&word.to_ascii_lowercase().as_str())
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if ["pass", "pw", "sig", "signature", "x-amz-signature"].contains(&bare) {
        return true;
    }
    let rest = (INNOCENT.iter()).fold(name.clone(), |rest, word| rest.replace(word, ""));
    name.contains("authoriz") || SECRET_NAMES.iter().any(|secret| rest.contains(secret))
}

/// User names and passwords before the `@` of each URL.
fn redact_urls(word: &str) -> String {
    let mut clean = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let user = user_of(after);
        if user > 0 {
            clean.push_str(REDACTED);
        }
        rest = &after[user..];
    }
    clean.push_str(rest);
    clean
}

/// Bytes before the `@` of what follows `://`.
fn user_of(after: &str) -> usize {
    let end = after
        .find(['/', '?', '#', ' ', '"', '\'', ','])
        .unwrap_or(after.len());
    if let Some(at) = after[..end].rfind('@') {
        return at;
    }
    // A password with a slash in it should be written otherwise, and is not always. After a host
    // there may be a port, but nothing else.
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    match after[..end].split_once(':') {
        Some((_, port)) if !is_port(port) && !after[..end].starts_with('[') => {
            let next = after.find("://").unwrap_or(after.len());
            after[..next].rfind('@').unwrap_or(0)
        }
        _ => 0,
    }
}

/// Whatever in `word` looks like a token of a known service, wherever it stands.
fn redact_tokens(word: &str) -> String {
    let mut clean = String::with_capacity(word.len());
    let mut rest = word;
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    while let Some(start) = rest.find(is_inside) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_inside(c)).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        clean.push_str(before);
        match token_in(run) {
            Some(at) => {
                clean.push_str(&run[..at]);
                clean.push_str(REDACTED);
            }
            None => clean.push_str(run),
        }
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// Where a token begins in a run of letters, digits, `_`, `-` and `.`: at its start, behind one of
/// these signs, or behind a short flag (`-tghp_…`).
fn token_in(run: &str) -> Option<usize> {
    let bytes = run.as_bytes();
    let may_begin = |at: usize| {
        at == 0 || !bytes[at - 1].is_ascii_alphanumeric() || (at == 2 && bytes[0] == b'-')
    };
    let is_token = |at: &usize| {
        let shape = |(shape, least): &(&str, usize)| {
            (run[*at..].strip_prefix(shape)).is_some_and(|id| id.len() >= *least)
        };
        TOKEN_SHAPES.iter().any(shape)
    };
    (0..run.len()).filter(|at| may_begin(*at)).find(is_token)
}

#[cfg(test)]
mod tests;
