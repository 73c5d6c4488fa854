//! Takes secrets out of a command before it is recorded.
//!
//! By name (`--api-key X`, `HF_TOKEN=X`, `{"token": "X"}`), by place (the password in a URL or behind
//! `-u`, the end of a webhook's address), and by look (private keys, and the shapes of tokens that
//! services hand out). It errs towards hiding; a short secret under
//! an innocent name cannot be told from any other word. [`command_digest`] is for whoever knows the
//! exact command and wants to show that this was it.

use sha2::{Digest as _, Sha256};

use super::entry::CommandDigest;
use crate::words::hex;

/// Stands for what was taken out.
pub const REDACTED: &str = "[redacted]";

/// Parts of names whose values are secrets.
const SECRET_NAMES: [&str; 12] = [
    "key", "token", "secret", "passw", "passphr", "passcode", "pwd", "auth", "cred", "cookie",
    "jwt", "bearer",
];

/// Last parts of names that say by themselves that the next word is a secret, without being a flag:
/// `password X`, `set-password X`.
const SECRET_WORDS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "credential",
    "credentials",
    "bearer",
];

/// Parts before `key` with which it says so as well: `aws_secret_access_key X`.
const KEYS_OF: [&str; 6] = ["api", "access", "secret", "private", "auth", "account"];

/// Flags before a name and a password with a colon between them.
const USER_FLAGS: [&str; 4] = ["-u", "-U", "--user", "--proxy-user"];

/// Places in URLs behind which all is a secret: the addresses of webhooks.
const HOOKS: [&str; 4] = [
    "hooks.slack.com/",
    "/webhooks/",
    "webhook.office.com/",
    "api.telegram.org/bot",
];

/// Parts of names that look like secret ones and are common in training. `authoriz…` begins like
/// `author` and is none of these.
const INNOCENT: [&str; 9] = [
    "tokeniz", "tokenis", "author", "keyframe", "keypoint", "keyword", "bypass", "compass",
    "surpass",
];

/// Beginnings of tokens, with the least number of characters that follow one.
/// GitHub: <https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/>;
/// AWS: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>; the others
/// as their services show them.
const TOKEN_SHAPES: [(&str, usize); 38] = [
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
    ("dapi", 32),
    ("dckr_pat_", 20),
    ("hvs.", 20),
    ("lsv2_", 20),
    ("xai-", 20),
];

/// SHA-256 over the salt, as it is written, and each word with a zero byte behind it. To check a
/// command that one knows:
///
/// ```text
/// (printf %s SALT; printf '%s\0' python train.py --api-key KEY) | sha256sum
/// ```
pub fn command_digest<'a>(salt: [u8; 16], words: impl Iterator<Item = &'a [u8]>) -> CommandDigest {
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
        if name.is_some_and(is_user_flag) && is_user_and_password(word) {
            name = None;
            clean.push(REDACTED.to_owned());
            continue;
        }
        let is_value = name.is_some_and(|name| {
            !is_user_flag(name) && !is_flag(word) && is_secret_value(name, word)
        });
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
        name = (asks_for_value(word) || is_user_flag(word)).then_some(word);
        clean.push(redact_text(word));
    }
    clean
}

/// What somebody calls a run or a label, without what looks like a secret or stands where one does.
pub fn redact_shapes(text: &str) -> String {
    redact_tokens(&redact_urls(&redact_hooks(&redact_private_keys(text))))
}

/// The value of a label. Where the label is called as a secret is, it is one.
pub fn redact_label(name: &str, value: &str) -> String {
    match is_secret_word(name) {
        true => REDACTED.to_owned(),
        false => redact_shapes(value),
    }
}

/// Whether the value of this word, a secret name, is the next word.
fn asks_for_value(word: &str) -> bool {
    if let Some(name) = word.strip_suffix([':', '=']) {
        return is_called_secret(name);
    }
    let is_name = match word.starts_with('-') {
        true => is_called_secret(word),
        false => is_secret_word(word),
    };
    is_name && !word.contains(['=', ':', ' '])
}

/// Whether a word that is no flag says that the next one is a secret. A file's name does not.
fn is_secret_word(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    if !(word.chars()).all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return false;
    }
    let mut parts = word.rsplit(['_', '-']);
    let (last, before) = (parts.next().unwrap_or_default(), parts.next());
    let is_of = |of: &[&str]| before.is_some_and(|before| of.contains(&before));
    SECRET_WORDS.contains(&last)
        || (last == "key" && is_of(&KEYS_OF))
        || (last == "pass" && before.is_some())
}

/// A flag is no value: `-v`, `--lr`, `--lr=1`. With digits or capital letters it is rather a secret
/// that begins with a dash.
fn is_flag(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    let is_small =
        |name: &str| (name.chars()).all(|c| c.is_ascii_lowercase() || ['-', '_', '.'].contains(&c));
    match (name.strip_prefix("--"), name.strip_prefix('-')) {
        (Some(long), _) => is_small(long),
        (None, Some(short)) if short.len() == 1 => short.chars().all(|c| c.is_ascii_alphabetic()),
        (None, Some(short)) => short.len() <= 8 && is_small(short),
        (None, None) => false,
    }
}

fn is_user_flag(word: &str) -> bool {
    USER_FLAGS.contains(&word)
}

/// `me:secret`; not the numbers of a user and a group, and no URL.
fn is_user_and_password(word: &str) -> bool {
    let is_number = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    word.split_once(':').is_some_and(|(user, password)| {
        let is_url = password.starts_with("//");
        let are_ids = is_number(user) && is_number(password);
        !password.is_empty() && !is_url && !are_ids
    })
}

/// Whether `value` may be a secret under a secret `name`: how many tokens there are is none.
fn is_secret_value(name: &str, value: &str) -> bool {
    let counts = name.to_ascii_lowercase().contains("tokens");
    let first = value.split_whitespace().next().unwrap_or(value);
    let digits = first.trim_end_matches(|c: char| "kKmMbBtTgG".contains(c));
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || "._eE+-".contains(c));
    !(counts && is_number)
}

/// A word, a sentence, a line or a document without what is, or may be, a secret in it: by name, by place and
/// by look. What follows a secret name is hidden to the end, but for the query of a URL.
pub fn redact_text(word: &str) -> String {
    let joined = ["-u", "-U"]
        .iter()
        .find(|flag| word.strip_prefix(**flag).is_some_and(is_user_and_password));
    if let Some(flag) = joined {
        return format!("{flag}{REDACTED}");
    }
    let clean = redact_urls(&redact_hooks(&redact_private_keys(word)));
    redact_tokens(&redact_values(&clean))
}

/// Blocks of PEM with private keys, up to their ends.
fn redact_private_keys(word: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    let (mut clean, mut rest) = (String::new(), word);
    while let Some(at) = rest.find(BEGIN) {
        let (before, block) = rest.split_at(at);
        clean.push_str(before);
        let title = block[BEGIN.len()..].split("-----").next();
        let end_at = block.find("-----END ").map(|at| at + 9);
        let end = end_at.and_then(|at| Some(at + block[at..].find("-----")? + 5));
        match title.is_some_and(|title| title.contains("PRIVATE KEY")) {
            true => {
                clean.push_str(REDACTED);
                rest = &block[end.unwrap_or(block.len())..];
            }
            false => {
                clean.push_str(BEGIN);
                rest = &block[BEGIN.len()..];
            }
        }
    }
    clean.push_str(rest);
    clean
}

/// What comes behind the places of [`HOOKS`], up to the end of the URL.
fn redact_hooks(word: &str) -> String {
    let (mut clean, mut rest) = (String::new(), word);
    loop {
        let lower = rest.to_ascii_lowercase();
        let ends = HOOKS
            .iter()
            .filter_map(|hook| Some(lower.find(hook)? + hook.len()));
        let Some(at) = ends.min() else {
            break;
        };
        let (before, secret) = rest.split_at(at);
        let end = secret
            .find([' ', '"', '\'', ',', '\n', '\t'])
            .unwrap_or(secret.len());
        clean.push_str(before);
        if end > 0 {
            clean.push_str(REDACTED);
        }
        rest = &secret[end..];
    }
    clean.push_str(rest);
    clean
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
        let is_joined = separator != ' ' && !value.starts_with(' ');
        let is_path = separator == ':' && value.starts_with("//");
        let value = value.trim_start_matches(['"', '\'', ' ']);
        let first = value.split_whitespace().next().unwrap_or_default();
        let is_name = match separator {
            _ if is_user_flag(name) => separator != ':' && is_user_and_password(first),
            // `train --api-key value` in one word, as shells get it.
            ' ' => asks_for_value(name),
            _ => is_called_secret(name),
        };
        if !is_name || is_path || value.is_empty() {
            continue;
        }
        // `--password=--x` sets a password, `--password --x` a flag.
        if (!is_joined && is_flag(first)) || !is_secret_value(name, value) {
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

/// Whether something is called as secrets are: `token`, `api_key`, `Authorization`.
pub fn is_called_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let bare = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let names = [
        "pw",
        "sig",
        "signature",
        "x-amz-signature",
        "pat",
        "private",
    ];
    if names.contains(&bare) || bare.ends_with("_pat") || bare.ends_with("-pat") {
        return true;
    }
    let rest = (INNOCENT.iter()).fold(name.clone(), |rest, word| rest.replace(word, ""));
    name.contains("authoriz")
        || rest
            .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
            .ends_with("pass")
        || SECRET_NAMES.iter().any(|secret| rest.contains(secret))
}

/// User names and passwords before the `@` of each URL.
fn redact_urls(word: &str) -> String {
    let mut clean = String::with_capacity(word.len());
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let user = user_of(before, after);
        if user > 0 {
            clean.push_str(REDACTED);
        }
        rest = &after[user..];
    }
    clean.push_str(rest);
    clean
}

/// Bytes before the `@` of what follows a scheme and `://`.
fn user_of(scheme: &str, after: &str) -> usize {
    let end = after
        .find(['/', '?', '#', ' ', '"', '\'', ','])
        .unwrap_or(after.len());
    if let Some(at) = after[..end].rfind('@') {
        // A password may have both signs in it. Of a repository or a page, what looks like a host is
        // one, and behind it there may be a version.
        let is_page =
            scheme.ends_with("http") || scheme.ends_with("https") || scheme.ends_with("ssh");
        let is_host = is_page && after[at..end].contains('.');
        let whole = after
            .find(['?', '#', ' ', '"', '\'', ','])
            .unwrap_or(after.len());
        return match after[..at].contains(':') && !is_host {
            true => after[..whole].rfind('@').unwrap_or(at),
            false => at,
        };
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
