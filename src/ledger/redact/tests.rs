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
            "git+https://me:pw@github.com/org/repo@v1.0",
            "git+https://[redacted]@github.com/org/repo@v1.0",
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

#[test]
fn secrets_are_hidden_in_whatever_form_a_command_has_them() {
    // What is hidden has this in it, and nothing else does.
    let secret = "s3cr3t";
    let commands: &[&[&str]] = &[
        &["x", "--api-key", "s3cr3t", "--lr", "1"],
        &["x", "--api-key", "-s3cr3t-begins-with-a-dash"],
        &["x", "-token", "s3cr3t"],
        &["x", "--api-tokens=s3cr3t"],
        &["x", "--hf-tokens", "s3cr3t"],
        &["x", "--accessKey=s3cr3t"],
        &["x", "--PASSPHRASE=s3cr3t"],
        &["x", "--pass", "s3cr3t"],
        &["x", "password", "s3cr3t"],
        &["env", "AWS_SECRET_ACCESS_KEY=s3cr3t", "python"],
        &["x", "trainer.logger.api_key=s3cr3t"],
        &["x", "+trainer={lr:1,token:s3cr3t}"],
        &["x", r#"{"lr": 1, "token": "s3cr3t"}"#],
        &["x", r#"--config={"a":{"auth":{"v":"s3cr3t"}}}"#],
        &["x", "{'lr': 1, 'hf_token': 's3cr3t'}"],
        &["curl", "-H", "Authorization: Bearer s3cr3t"],
        &["curl", "-H", "Authorization:", "Bearer", "s3cr3t"],
        &["curl", "--header=X-Api-Key: s3cr3t"],
        &["sh", "-c", "python x.py --api-key s3cr3t --lr 1"],
        &["sh", "-c", "export HF_TOKEN=s3cr3t; python x.py"],
        &["sh", "-c", "cd a\nTOKEN=s3cr3t\npython x.py"],
        &["x", "https://me:s3cr3t@host/x"],
        &["x", "https://s3cr3t@host"],
        &["x", "https://me:s3/cr3t@host/x"],
        &["x", "--stores=https://a:s3cr3t@h/1,https://b:s3cr3t@h/2"],
        &["x", "postgres://u:s3cr3t@h:5432/db?sslmode=off"],
        &["x", "https://h/x?lr=1&access_token=s3cr3t#y"],
        &["x", "https://h/x?a=1&sig=s3cr3t&b=2"],
        &["x", "https://h/x?X-Amz-Signature=s3cr3t"],
        // Values that begin with dashes.
        &["x", "--api-key=--S3cr3t"],
        &["x", "--password=-s3cr3t"],
        &["env", "ACCESS_TOKEN=--s3cr3t"],
        &["x", "--token", "--S3cr3t"],
        &["x", "--password", "-s3cr3t"],
        &["sh", "-c", "x --token --S3cr3t"],
        // Names that end in pass, and others.
        &["env", "DB_PASS=s3cr3t"],
        &["env", "MYSQL_PASS=s3cr3t"],
        &["x", "--db-pass", "s3cr3t"],
        &["x", "--passcode", "s3cr3t"],
        &["x", "--bearer", "s3cr3t"],
        &["x", "--jwt", "s3cr3t"],
        &["x", "--pat", "s3cr3t"],
        &["env", "GH_PAT=s3cr3t"],
        &["x", "--private", "s3cr3t"],
        &["curl", "-H", "Cookie: session=s3cr3t"],
        &["curl", "--cookie", "session=s3cr3t"],
        // Names that are no flags.
        &["aws", "configure", "set", "aws_secret_access_key", "s3cr3t"],
        &["x", "set-password", "s3cr3t"],
        &["sh", "-c", "x password s3cr3t"],
        &["x", "Bearer", "s3cr3t"],
        &["x", "Bearer s3cr3t"],
        // Places.
        &["curl", "-u", "me:s3cr3t", "http://h/x"],
        &["curl", "-ume:s3cr3t"],
        &["curl", "--user=me:s3cr3t"],
        &["sh", "-c", "curl -u me:s3cr3t http://h/x"],
        &["x", "https://hooks.slack.com/services/T0/B0/s3cr3t"],
        &["x", "--hook=https://discord.com/api/webhooks/12/s3cr3t"],
        &["x", "https://api.telegram.org/bots3cr3t/sendMessage"],
        &["x", "mysql://u:pa@c/s3cr3t@h"],
        &["x", "mysql://u:pa@c.d/s3cr3t@h/db"],
        // What is hidden already hides no more.
        &["x", "token=[redacted]s3cr3t"],
    ];
    for command in commands {
        let clean = redacted(command).join(" ");
        assert!(
            !clean.contains(secret) && !clean.contains("cr3t"),
            "{clean}"
        );
        assert!(clean.contains(REDACTED), "{clean}");
    }
}

#[test]
fn private_keys_are_hidden_and_what_stands_around_them_is_not() {
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nMC4CAQAw\n-----END RSA PRIVATE KEY-----";
    assert_eq!(one(pem), REDACTED);
    assert_eq!(one(&format!("a {pem} b")), format!("a {REDACTED} b"));
    assert_eq!(
        one("-----BEGIN OPENSSH PRIVATE KEY-----\nMC4CAQAw"),
        REDACTED
    );
    let public = "-----BEGIN CERTIFICATE-----\nMC4CAQAw\n-----END CERTIFICATE-----";
    assert_eq!(one(public), public);
}

#[test]
fn names_and_labels_lose_what_looks_like_a_secret_and_nothing_else() {
    let id = "a1B2".repeat(12);
    for text in [
        format!("run with ghp_{id}"),
        format!("https://me:{id}@host/x"),
        format!("dapi{}", "0a".repeat(16)),
    ] {
        let clean = redact_shapes(&text);
        assert!(clean.contains(REDACTED), "{clean}");
        assert!(!clean.contains(&id) && !clean.contains("0a0a"), "{clean}");
    }
    for text in ["auth: v2", "tune the key", "token-classification", "a=b"] {
        assert_eq!(redact_shapes(text), text);
        assert_eq!(redact_label("team", text), text);
    }
    assert_eq!(redact_label("api_token", "x"), REDACTED);
}

#[test]
fn tokens_are_found_behind_short_flags_and_other_words() {
    let id = "a1B2".repeat(12);
    for word in [
        format!("-tghp_{id}"),
        format!("prefix-hf_{id}"),
        format!("x.npm_{id}"),
        format!("--t=nvapi-{id}"),
    ] {
        let clean = one(&word);
        assert!(!clean.contains(&id) && clean.contains(REDACTED), "{clean}");
    }
}

#[test]
fn more_ordinary_words_of_training_stay_as_they_are() {
    let words = [
        "--max_tokens",
        "4096",
        "--train-tokens",
        "300B",
        "--tokenize",
        "yes",
        "--mask-learning-rate-of-the-model=1",
        "https://[::1]:8080/x",
        "https://host:8443/a@b",
        "git@github.com:org/repo.git",
        "s3://bucket/prefix:part",
        "sh",
        "-c",
        "python x.py --lr 1 && echo done: yes",
        "{\"lr\": 1, \"steps\": 2}",
        "python -u train.py --max-tokens 512 --lr 1",
        "-u",
        "train.py",
        "--bypass",
        "cache",
        "--patience",
        "3",
        "git+https://github.com/org/repo@v1.0",
        "docker run -u 1000:1000 image",
        "token-classification",
        "data",
    ];
    assert_eq!(redacted(&words), words);
}

#[test]
fn the_digest_of_a_command_is_what_sha256sum_gives() {
    let words = ["python", "train.py", "--x=ä"];
    let digest = command_digest([0xab; 16], words.iter().map(|word| word.as_bytes()));
    assert_eq!(digest.salt, "ab".repeat(16));
    // (printf %s "$salt"; printf '%s\0' python train.py --x=ä) | sha256sum
    assert_eq!(
        digest.sha256,
        "a20d4b6178263699cc7575887b1b641faac41ca6a1727f2d7536f92dab37cf08"
    );
    // Words are told apart, and a salt makes the same command another digest.
    let joined = command_digest([0xab; 16], [&b"pythontrain.py--x=\xc3\xa4"[..]].into_iter());
    let salted = command_digest([0xac; 16], words.iter().map(|word| word.as_bytes()));
    assert!(digest != joined && digest.sha256 != salted.sha256);
}
