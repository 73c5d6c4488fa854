//! A message as a mail, by SMTP: over TLS from the beginning, or by STARTTLS without which nothing is
//! sent; in plain text to loopback only.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};

use super::message::Message;
use super::settings::{Email, Encryption};
use crate::caller::wire::Refused;
use crate::caller::{CallError, Undelivered, is_loopback_host};
use crate::report::text::harmless;

/// Longest wait for one answer of the server. The whole has a shorter limit still.
const ANSWER: Duration = Duration::from_secs(30);
/// Most bytes of a file of certificates.
const CERTIFICATES: u64 = 1 << 20;
/// Most characters of what a server says that are told.
const SAID: usize = 120;

/// Whether mail may be sent as it is set.
///
/// # Errors
/// What is wrong, in words.
pub fn check(email: &Email) -> Result<(), String> {
    if email.host.is_empty() || email.host.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(format!("`{}` is no host", harmless(&email.host)));
    }
    if email.encryption == Encryption::None && !is_loopback_host(&email.host) {
        return Err("mail without encryption is for loopback only".to_owned());
    }
    if email.to.is_empty() {
        return Err("nobody is written to".to_owned());
    }
    for address in email.to.iter().chain([&email.from]) {
        mailbox(address)?;
    }
    Ok(())
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|_| format!("`{}` is no address", harmless(text)))
}

/// Sends a message once.
///
/// # Errors
/// It cannot be sent, or is not taken.
pub async fn send(
    name: &str,
    email: &Email,
    password: Option<&SecretString>,
    message: &Message<'_>,
    now: Timestamp,
) -> Result<(), Undelivered> {
    check(email).map_err(|why| ours(name, &why))?;
    let mail = mail(email, message, now).map_err(|why| ours(name, &why))?;
    let tls = tls(email).map_err(|why| CallError::NoClient {
        provider: name.to_owned(),
        why,
    })?;
    // A name server must not say where `localhost` is, where anybody could read what goes there.
    let host = match (email.encryption, email.host.as_str()) {
        (Encryption::None, "localhost") => "127.0.0.1",
        (_, host) => host,
    };
    let port = email.port.unwrap_or_else(|| email.encryption.port());
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(port)
        .tls(tls)
        .timeout(Some(ANSWER));
    if let Some(user) = &email.user {
        let Some(password) = password else {
            let provider = name.to_owned();
            return Err(CallError::KeyMissing { provider }.into());
        };
        let password = password.expose_secret().to_owned();
        transport = transport.credentials(Credentials::new(user.clone(), password));
    }
    match transport.build().send(mail).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error_of(name, &email.host, &error).into()),
    }
}

/// The mail itself.
fn mail(email: &Email, message: &Message<'_>, now: Timestamp) -> Result<lettre::Message, String> {
    let mut builder: MessageBuilder = lettre::Message::builder()
        .from(mailbox(&email.from)?)
        .date(SystemTime::from(now))
        .message_id(Some(format!("<{}@catrain.invalid>", message.id)))
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .subject(format!("[catrain] {}", message.title()));
    for address in &email.to {
        builder = builder.to(mailbox(address)?);
    }
    builder
        .body(message.text())
        .map_err(|error| error.to_string())
}

/// RFC 3834, 5: no holiday message answers a mail that was made by a program.
#[derive(Clone, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

fn tls(email: &Email) -> Result<Tls, String> {
    if email.encryption == Encryption::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(email.host.clone());
    if let Some(path) = &email.ca_file {
        parameters = parameters.certificate_store(CertificateStore::None);
        for certificate in certificates(path)? {
            parameters = parameters.add_root_certificate(certificate);
        }
    }
    let parameters = parameters.build().map_err(|error| innermost(&error))?;
    Ok(match email.encryption {
        Encryption::Tls => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

/// Certificates are no secret, and are often root's: who owns the file does not matter.
fn certificates(path: &Path) -> Result<Vec<Certificate>, String> {
    let cannot = |why: String| format!("cannot read certificates from {}: {why}", path.display());
    let file = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if !file.is_file() || file.len() > CERTIFICATES {
        return Err(cannot("it is no file of certificates".to_owned()));
    }
    let pem = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = pem.match_indices(END).scan(0, |from, (at, _)| {
        let block = &pem[*from..at + END.len()];
        *from = at + END.len();
        Some(Certificate::from_pem(block.as_bytes()))
    });
    let read: Result<Vec<_>, _> = blocks.collect();
    match read {
        Ok(read) if !read.is_empty() => Ok(read),
        Ok(_) => Err(cannot("there is none in it".to_owned())),
        Err(error) => Err(cannot(innermost(&error))),
    }
}

fn ours(name: &str, why: &str) -> CallError {
    refused(name, 0, Refused::Ours(why.to_owned()))
}

fn refused(name: &str, status: u16, why: Refused) -> CallError {
    CallError::Refused {
        provider: name.to_owned(),
        status,
        content_type: None,
        why,
    }
}

fn error_of(name: &str, host: &str, error: &lettre::transport::smtp::Error) -> CallError {
    let why = innermost(error);
    let Some(status) = error.status().map(u16::from) else {
        if error.is_client() || error.is_response() {
            // It does not offer what is required, or answers otherwise than a mail server.
            return refused(name, 0, Refused::Ours(why));
        }
        return CallError::Unreachable {
            provider: name.to_owned(),
            host: host.to_owned(),
            why,
        };
    };
    match status {
        530 | 534 | 535 | 538 => refused(name, status, Refused::KeyWrong(why)),
        _ if error.is_transient() => refused(name, status, Refused::Faulty(why)),
        _ => refused(name, status, Refused::Ours(why)),
    }
}

/// The innermost cause, harmless and short: what a server says is anybody's.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    super::message::cut(&harmless(&cause.to_string()), SAID)
}

#[cfg(test)]
mod tests {
    use super::super::letter::State;
    use super::super::letter::tests::alert;
    use super::super::rule::Rule;
    use super::*;

    fn email() -> Email {
        Email {
            host: "mail.example.org".to_owned(),
            port: None,
            encryption: Encryption::StartTls,
            user: None,
            from: "catrain <catrain@example.org>".to_owned(),
            to: vec!["me@example.org".to_owned()],
            ca_file: None,
        }
    }

    #[test]
    fn a_mail_has_the_headers_that_it_should_and_none_of_a_names() {
        let mut bad = alert(Rule::JobFailed, State::Happened);
        bad.run.name = "x\r\nBcc: all@example.org".to_owned();
        let now = "2026-11-24T18:00:00Z".parse().unwrap();
        let message = Message::of([&bad]).unwrap();
        let mail = mail(&email(), &message, now).unwrap().formatted();
        let mail = String::from_utf8(mail).unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\nBcc"), "{head}");
        for line in [
            "Auto-Submitted: auto-generated",
            "Message-ID: <a1@catrain.invalid>",
            "To: me@example.org",
            "Date: Tue, 24 Nov 2026 18:00:00 +0000",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(body.contains("the job failed"));
    }

    #[test]
    fn nothing_is_sent_in_plain_text_beyond_loopback() {
        let plain = Email {
            encryption: Encryption::None,
            ..email()
        };
        assert!(check(&plain).unwrap_err().contains("loopback"));
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let here = Email {
                host: host.to_owned(),
                ..plain.clone()
            };
            check(&here).unwrap();
        }
    }

    #[test]
    fn what_is_no_address_is_refused_before_anything_is_sent() {
        for bad in ["", "me", "me@example.org\r\nRCPT TO:<x@y>", "a@b, c@d"] {
            let email = Email {
                to: vec![bad.to_owned()],
                ..email()
            };
            assert!(check(&email).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_told_as_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let of = |path: &Path| certificates(path).map(drop).unwrap_err();
        assert!(of(&path).contains("ca.pem"));
        std::fs::write(&path, "nothing").unwrap();
        assert!(of(&path).ends_with("there is none in it"));
        assert!(of(dir.path()).ends_with("it is no file of certificates"));
    }
}
