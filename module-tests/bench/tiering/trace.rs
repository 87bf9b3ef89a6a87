//! Reading a request trace: big-endian 32-bit key ids, plain or packed with xz.

use std::collections::HashMap;
use std::process::Command;

/// A trace with its ids renumbered from 0.
pub(crate) struct Trace {
    pub(crate) requests: Vec<u32>,
    pub(crate) keys: usize,
}

/// Reads a trace.
pub(crate) fn read(path: &str) -> Result<Trace, String> {
    let bytes = if path.ends_with(".xz") {
        unpacked(path)?
    } else {
        std::fs::read(path).map_err(|error| format!("{path}: {error}"))?
    };
    let mut numbers = HashMap::new();
    let mut renumber = |id: &[u8]| {
        let fresh = numbers.len() as u32;
        *numbers.entry(id.to_vec()).or_insert(fresh)
    };
    let requests = bytes.chunks_exact(4).map(&mut renumber).collect();
    Ok(Trace {
        requests,
        keys: numbers.len(),
    })
}

fn unpacked(path: &str) -> Result<Vec<u8>, String> {
    let output = Command::new("xz").args(["-dc", "--", path]).output();
    let output = output.map_err(|error| format!("xz: {error}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{path}: xz cannot unpack it"))
    }
}

impl Trace {
    /// How often each key is asked for, as a share of the requests.
    pub(crate) fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.keys];
        for &key in &self.requests {
            if let Some(share) = shares.get_mut(key as usize) {
                *share += 1.0 / self.requests.len() as f64;
            }
        }
        shares
    }
}
