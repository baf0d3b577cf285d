//! The verdict as an in-toto statement over the files of its folder, and its signature.
//!
//! `attestation.json` is part of the folder: the same record gives the same bytes. Its subjects are
//! all other files, by SHA-256, which other tools check. A signature stands apart, in
//! `attestation.dsse.json` (a DSSE envelope, ed25519), since only the holder of a key can make it.
//! The key's id is the public key itself, so that a signature can be checked without asking anybody;
//! whether that key may be trusted is for the reader to say.

use crate::data_json::DataJson;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Name of the statement in its folder.
pub const STATEMENT: &str = "attestation.json";
/// Name of the signed envelope in the folder.
pub const ENVELOPE: &str = "attestation.dsse.json";
/// Type of what the statement says of its subjects.
pub const PREDICATE_TYPE: &str = "https://github.com/auto-itera/auto-itera/verdict/v1";

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Why a key or an envelope cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// The text is not a private key.
    #[error("not an ed25519 private key (PKCS#8, PEM): {0}")]
    PrivateKey(String),
    /// The text is not a public key.
    #[error("not an ed25519 public key (SPKI, PEM): {0}")]
    PublicKey(String),
    /// The bytes are not an envelope.
    #[error("not a DSSE envelope: {0}")]
    Envelope(String),
    /// The envelope holds another statement than the folder.
    #[error("the signed statement is not the folder's {STATEMENT}")]
    OtherStatement,
    /// No signature of the envelope is right.
    #[error("no signature holds")]
    BadSignature,
    /// A signer was asked for who did not sign.
    #[error("not signed by {0}")]
    OtherSigner(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signed>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    keyid: String,
    sig: String,
}

/// The statement over the files of a folder, by the tool of that version.
pub fn statement(files: &BTreeMap<String, Vec<u8>>, data: &DataJson, tool_version: &str) -> Vec<u8> {
    let subjects: Vec<Value> = files
        .iter()
        .filter(|(name, _)| *name != STATEMENT && *name != ENVELOPE)
        .map(|(name, bytes)| json!({ "name": name, "digest": { "sha256": hex(&Sha256::digest(bytes)) } }))
        .collect();
    let said = json!({
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "experiment": data.experiment.id,
            "frameHash": data.frame_hash,
            "ledgerHead": data.ledger_head,
            "outcome": data.verdict.outcome,
            "winner": data.verdict.winner,
            "killed": data.verdict.killed,
            "tool": { "name": "auto-itera", "version": tool_version },
        },
    });
    let mut text = serde_json::to_string_pretty(&said).unwrap_or_default();
    text.push('\n');
    text.into_bytes()
}

/// The version of the tool that wrote a statement; a later one checks it under that version.
pub fn tool_version(statement: &[u8]) -> Option<String> {
    let said: Value = serde_json::from_slice(statement).ok()?;
    said.pointer("/predicate/tool/version")?.as_str().map(str::to_owned)
}

/// A key from its 32 secret bytes, as the text of a PEM file.
///
/// # Errors
/// When the key cannot be encoded.
pub fn new_key(secret: &[u8; 32]) -> Result<String, AttestationError> {
    // Without the public half: the form that other tools read, too.
    let key = KeypairBytes { secret_key: *secret, public_key: None };
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| AttestationError::PrivateKey(e.to_string()))?;
    Ok(pem.to_string())
}

/// The public half of a private key, as the text of a PEM file.
///
/// # Errors
/// When the text is not a private key.
pub fn public_key(private_pem: &str) -> Result<String, AttestationError> {
    let key = private(private_pem)?.verifying_key();
    key.to_public_key_pem(LineEnding::LF).map_err(|e| AttestationError::PublicKey(e.to_string()))
}

/// The id under which a public key signs: its 32 bytes in hexadecimal digits.
///
/// # Errors
/// When the text is not a public key.
pub fn key_id(public_pem: &str) -> Result<String, AttestationError> {
    let key =
        VerifyingKey::from_public_key_pem(public_pem.trim()).map_err(|e| AttestationError::PublicKey(e.to_string()))?;
    Ok(hex(key.as_bytes()))
}

/// Signs a statement: the text of the envelope.
///
/// # Errors
/// When the text is not a private key.
pub fn sign(statement: &[u8], private_pem: &str) -> Result<Vec<u8>, AttestationError> {
    let key = private(private_pem)?;
    let signature = key.sign(&pre_authentication(PAYLOAD_TYPE, statement));
    let envelope = Envelope {
        payload_type: PAYLOAD_TYPE.to_owned(),
        payload: BASE64.encode(statement),
        signatures: vec![Signed {
            keyid: hex(key.verifying_key().as_bytes()),
            sig: BASE64.encode(signature.to_bytes()),
        }],
    };
    let mut text = serde_json::to_string_pretty(&envelope).unwrap_or_default();
    text.push('\n');
    Ok(text.into_bytes())
}

/// Checks an envelope against the statement of its folder; the ids of the keys that signed.
///
/// # Errors
/// When it is no envelope, holds another statement, any signature is wrong, or `signer` (an id of
/// [`key_id`]) is asked for and did not sign.
pub fn check(envelope: &[u8], statement: &[u8], signer: Option<&str>) -> Result<Vec<String>, AttestationError> {
    let bad = |what: String| AttestationError::Envelope(what);
    let envelope: Envelope = serde_json::from_slice(envelope).map_err(|e| bad(e.to_string()))?;
    let payload = BASE64.decode(&envelope.payload).map_err(|e| bad(e.to_string()))?;
    if envelope.payload_type != PAYLOAD_TYPE || payload != statement {
        return Err(AttestationError::OtherStatement);
    }
    let message = pre_authentication(&envelope.payload_type, &payload);
    let mut signers = Vec::new();
    for signed in &envelope.signatures {
        let key = unhex(&signed.keyid).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        let signature = BASE64.decode(&signed.sig).ok().and_then(|bytes| Signature::from_slice(&bytes).ok());
        match (key, signature) {
            (Some(key), Some(signature)) if key.verify_strict(&message, &signature).is_ok() => {
                signers.push(signed.keyid.clone());
            }
            _ => return Err(AttestationError::BadSignature),
        }
    }
    match signer {
        _ if signers.is_empty() => Err(AttestationError::BadSignature),
        Some(wanted) if !signers.iter().any(|s| s == wanted) => Err(AttestationError::OtherSigner(wanted.to_owned())),
        _ => Ok(signers),
    }
}

fn private(pem: &str) -> Result<SigningKey, AttestationError> {
    SigningKey::from_pkcs8_pem(pem.trim()).map_err(|e| AttestationError::PrivateKey(e.to_string()))
}

/// What DSSE signs: type and body with their lengths, so that neither can be moved into the other.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    message.extend_from_slice(payload);
    message
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("a.md".to_owned(), b"abc".to_vec()), (STATEMENT.to_owned(), b"itself".to_vec())])
    }

    #[test]
    fn subjects_are_the_other_files_by_sha256() {
        let said: Value = serde_json::from_slice(&statement(&files(), &DataJson::default(), "1.2.3")).expect("JSON");
        assert_eq!(said["_type"], STATEMENT_TYPE);
        let subjects = said["subject"].as_array().expect("a list");
        assert_eq!(subjects.len(), 1);
        // FIPS 180-2, appendix B.1.
        assert_eq!(subjects[0]["digest"]["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(tool_version(&statement(&files(), &DataJson::default(), "1.2.3")).as_deref(), Some("1.2.3"));
    }

    #[test]
    fn what_is_signed_follows_dsse() {
        // The example of the DSSE specification.
        assert_eq!(
            pre_authentication("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn a_signature_holds_until_something_changes() {
        let body = statement(&files(), &DataJson::default(), "1.2.3");
        let key = new_key(&[7; 32]).expect("a key");
        let id = key_id(&public_key(&key).expect("its public half")).expect("an id");
        let envelope = sign(&body, &key).expect("signed");
        assert_eq!(sign(&body, &key).expect("again"), envelope, "signatures are deterministic");
        assert_eq!(check(&envelope, &body, Some(&id)), Ok(vec![id.clone()]));
        assert_eq!(check(&envelope, b"{}", None), Err(AttestationError::OtherStatement));
        let other = key_id(&public_key(&new_key(&[8; 32]).expect("a key")).expect("public")).expect("an id");
        assert_eq!(check(&envelope, &body, Some(&other)), Err(AttestationError::OtherSigner(other.clone())));
        let mut read: Envelope = serde_json::from_slice(&envelope).expect("an envelope");
        read.signatures[0].keyid = other;
        let forged = serde_json::to_vec(&read).expect("JSON");
        assert_eq!(check(&forged, &body, None), Err(AttestationError::BadSignature));
        read.signatures.clear();
        let unsigned = serde_json::to_vec(&read).expect("JSON");
        assert_eq!(check(&unsigned, &body, None), Err(AttestationError::BadSignature));
    }
}
