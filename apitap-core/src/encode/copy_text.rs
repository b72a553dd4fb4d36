//! COPY's text format: tabs between fields, `\N` for null, backslash escapes.

use bytes::{BufMut, BytesMut};

use super::Fault;
use super::cell::Cells;

pub(super) fn row(cells: &[Cells<'_>], row: usize, out: &mut BytesMut) -> Result<(), Fault> {
    for (column, cells) in cells.iter().enumerate() {
        if column > 0 {
            out.put_u8(b'\t');
        }
        if cells.is_null(row) {
            out.put_slice(b"\\N");
            continue;
        }
        let start = out.len();
        cells.text(row, out).map_err(|(reason, hint)| Fault {
            column,
            reason,
            hint,
        })?;
        if cells.needs_escape() {
            escape(start, out);
        }
    }
    out.put_u8(b'\n');
    Ok(())
}

/// Escapes what was written since `start`. Most cells need nothing and stay where they are.
fn escape(start: usize, out: &mut BytesMut) {
    let special = |byte: &u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    let Some(first) = out[start..].iter().position(special) else {
        return;
    };
    let rest = out.split_off(start + first);
    for &byte in &rest {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            b'\t' => out.put_slice(b"\\t"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            _ => out.put_u8(byte),
        }
    }
}
