//! Cases of a file of golden vectors, and what they are made of.

use serde_json::Value;
use std::path::{Path, PathBuf};
use subrosa_proto::entropy::Entropy;
use subrosa_proto::{Error, ErrorKind, Result};

/// One case. A field that is missing reads as nothing; one of another type is an error of the file.
pub(crate) struct Case(Value);

/// All cases of a file, at least one.
pub(crate) fn cases(file: &str) -> Vec<Case> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whisper/vectors");
    let folder = std::env::var_os("SUBROSA_VECTORS").map_or_else(own, PathBuf::from);
    let path = folder.join(file).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(!all.is_empty(), "{}: no cases", path.display());
    println!("{}: {} cases", path.display(), all.len());
    all.into_iter().map(Case).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hex")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

impl Case {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.optional_text(field).unwrap_or_else(|| panic!("{self}: no `{field}`"))
    }

    pub(crate) fn optional_text(&self, field: &str) -> Option<&str> {
        self.0
            .get(field)
            .map(|value| value.as_str().unwrap_or_else(|| panic!("{self}: `{field}` is no text")))
    }

    pub(crate) fn bytes(&self, field: &str) -> Vec<u8> {
        unhex(self.text(field))
    }

    pub(crate) fn optional_bytes(&self, field: &str) -> Option<Vec<u8>> {
        self.optional_text(field).map(unhex)
    }

    pub(crate) fn array<const N: usize>(&self, field: &str) -> [u8; N] {
        self.bytes(field).try_into().unwrap_or_else(|_| panic!("{self}: `{field}` has not {N} bytes"))
    }

    pub(crate) fn number(&self, field: &str) -> u32 {
        let number = self.0.get(field).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        number.unwrap_or_else(|| panic!("{self}: no number `{field}`"))
    }

    pub(crate) fn float(&self, field: &str) -> f64 {
        self.0.get(field).and_then(Value::as_f64).unwrap_or_else(|| panic!("{self}: no number `{field}`"))
    }

    /// The bits of a double, which stand there as hex.
    pub(crate) fn bits(&self, field: &str) -> f64 {
        f64::from_be_bytes(self.array(field))
    }

    pub(crate) fn truth(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or_else(|| panic!("{self}: no truth `{field}`"))
    }

    pub(crate) fn list(&self, field: &str) -> Vec<Value> {
        self.0.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    pub(crate) fn parts(&self, field: &str) -> Vec<Case> {
        self.list(field).into_iter().map(Case).collect()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.get("name").and_then(Value::as_str).unwrap_or("a case without a name"))
    }
}

/// Gives bytes that were drawn before, and fails when they are used up.
pub(crate) struct Replay(pub(crate) Vec<u8>);

impl Entropy for Replay {
    fn fill(&mut self, out: &mut [u8]) -> Result<()> {
        if out.len() > self.0.len() {
            return Err(Error::new(ErrorKind::Io, "more was drawn than is recorded"));
        }
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}
