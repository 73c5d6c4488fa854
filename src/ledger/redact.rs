//! Takes secrets out of a command before it is recorded.
//!
//! By name (`--api-key X`, `HF_TOKEN=X`), by place (the password in a URL), and by look (the shapes
//! of tokens that services hand out). It errs towards hiding; a short secret under an innocent name
//! cannot be told from any other word.

/// Stands for what was taken out.
pub const REDACTED: &str = "[redacted]";

/// Parts of names whose values are secrets.
const SECRET_NAMES: [&str; 7] = ["key", "token", "secret", "passw", "pwd", "auth", "cred"];

/// Beginnings of tokens, with the least number of characters that follow one.
/// GitHub: <https://github.blog/2021-04-05-behind-githubs-new-authentication-token-formats/>;
/// AWS: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>; the others
/// as their services show them.
const TOKEN_SHAPES: [(&str, usize); 16] = [
    ("hf_", 20),
    ("sk-", 16),
    ("sk_live_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 16),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("AKIA", 16),
    ("ASIA", 16),
    ("AIza", 30),
    ("eyJ", 60),
];

/// The command with [`REDACTED`] in the place of what is, or may be, a secret.
pub fn redact(argv: &[String]) -> Vec<String> {
    let mut hides_next = false;
    let mut clean = Vec::with_capacity(argv.len());
    for word in argv {
        let is_flag = word.starts_with('-');
        if hides_next && !is_flag {
            // `Authorization: Bearer …` comes as one word or as two.
            hides_next = is_scheme(word);
            clean.push(if hides_next {
                word.clone()
            } else {
                REDACTED.to_owned()
            });
            continue;
        }
        hides_next = is_flag && !word.contains('=') && is_secret_name(word);
        clean.push(redact_word(word));
    }
    clean
}

fn redact_word(word: &str) -> String {
    // A header or a setting: its name tells.
    for separator in ['=', ':'] {
        let Some((name, value)) = word.split_once(separator) else {
            continue;
        };
        let is_url = value.starts_with("//") || name.contains("://");
        if !is_url && !value.is_empty() && is_secret_name(name) {
            return format!("{name}{separator}{REDACTED}");
        }
    }
    redact_tokens(&redact_urls(word))
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token"].contains(&word.to_ascii_lowercase().as_str())
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // The part after the last separator that ends a path or a nested key is what is set.
    let last = name
        .rsplit(['/', ' ', '"', '\'', '{', ',', '?', '&'])
        .next();
    let last = last.unwrap_or_default();
    // `tokenizer`, `max_tokens`, `author`, `keyframes`: common in training and no secrets.
    let innocent = [
        "tokenizer",
        "tokens",
        "tokenized",
        "author",
        "keyframe",
        "keypoint",
        "keyword",
    ];
    let rest = innocent
        .iter()
        .fold(last.to_owned(), |rest, word| rest.replace(word, ""));
    // `authorization` begins like `author` and is one.
    last.contains("authoriz") || SECRET_NAMES.iter().any(|secret| rest.contains(secret))
}

/// User names and passwords before the `@` of a URL, and secrets in its query.
fn redact_urls(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{REDACTED}@{host}"),
        None => authority.to_owned(),
    };
    let tail = match tail.split_once('?') {
        None => tail.to_owned(),
        Some((path, query)) => {
            let pairs: Vec<String> = query.split('&').map(redact_pair).collect();
            format!("{path}?{}", pairs.join("&"))
        }
    };
    format!("{scheme}://{host}{tail}")
}

fn redact_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if is_secret_name(name) || name.eq_ignore_ascii_case("sig") => {
            format!("{name}={REDACTED}")
        }
        _ => pair.to_owned(),
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
        let is_token = TOKEN_SHAPES
            .iter()
            .any(|(shape, least)| run.strip_prefix(shape).is_some_and(|id| id.len() >= *least));
        clean.push_str(if is_token { REDACTED } else { run });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(words: &[&str]) -> Vec<String> {
        redact(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    fn one(word: &str) -> String {
        redacted(&[word]).remove(0)
    }

    #[test]
    fn the_value_after_a_secret_name_is_hidden() {
        assert_eq!(
            redacted(&[
                "train",
                "--api-key",
                "abc",
                "--lr",
                "3e-4",
                "--password",
                "x",
                "y"
            ]),
            [
                "train",
                "--api-key",
                REDACTED,
                "--lr",
                "3e-4",
                "--password",
                REDACTED,
                "y"
            ]
        );
    }

    #[test]
    fn the_value_joined_to_a_secret_name_is_hidden() {
        let cases = [
            ("--hf-token=abc", "--hf-token=[redacted]"),
            (
                "WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567",
                "WANDB_API_KEY=[redacted]",
            ),
            ("wandb.api_key=0123", "wandb.api_key=[redacted]"),
            ("Authorization: Bearer abc", "Authorization:[redacted]"),
            ("--db-credentials=a:b", "--db-credentials=[redacted]"),
        ];
        for (word, clean) in cases {
            assert_eq!(one(word), clean);
        }
    }

    #[test]
    fn user_and_password_in_a_url_are_hidden_and_its_host_is_not() {
        let cases = [
            ("https://me:pw@host/x", "https://[redacted]@host/x"),
            (
                "--repo=https://pat@host/x.git",
                "--repo=https://[redacted]@host/x.git",
            ),
            (
                "s3://bucket/x?token=abc&part=2",
                "s3://bucket/x?token=[redacted]&part=2",
            ),
            ("https://host/a@b", "https://host/a@b"),
        ];
        for (word, clean) in cases {
            assert_eq!(one(word), clean);
        }
    }

    #[test]
    fn tokens_of_known_shapes_are_hidden_wherever_they_stand() {
        let long = "a1B2".repeat(12);
        for shape in ["hf_", "sk-", "ghp_", "github_pat_", "AKIA", "AIza", "xoxb-"] {
            let secret = format!("{shape}{long}");
            for word in [
                secret.clone(),
                format!("--x={secret}"),
                format!("['{secret}']"),
            ] {
                let clean = one(&word);
                assert!(!clean.contains(&long), "{clean}");
                assert!(clean.contains(REDACTED), "{clean}");
            }
        }
    }

    #[test]
    fn ordinary_words_of_training_stay_as_they_are() {
        let words = [
            "python",
            "train.py",
            "--tokenizer",
            "gpt2",
            "--max-tokens=512",
            "--lr=3e-4",
            "ckpt/step-100.pt",
            "sk-learn",
            "--author",
            "me",
            "http://localhost:8080/x?y=1",
            "12:30",
            "",
        ];
        assert_eq!(redacted(&words), words);
    }

    #[test]
    fn a_flag_after_a_secret_flag_is_not_its_value() {
        assert_eq!(
            redacted(&["--use-auth", "--lr", "1"]),
            ["--use-auth", "--lr", "1"]
        );
    }

    #[test]
    fn a_bearer_of_two_words_is_hidden() {
        assert_eq!(
            redacted(&["--auth", "Bearer", "abc", "x"]),
            ["--auth", "Bearer", REDACTED, "x"]
        );
    }
}
