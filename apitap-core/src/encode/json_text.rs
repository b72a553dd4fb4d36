//! Lists, structs and maps as JSON text.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::datatypes::{Field, FieldRef};
use arrow::error::ArrowError;
use arrow_json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};

use crate::error::{Error, ErrorKind, Result, Stage};

/// The values of a nested column, each as one text.
///
/// # Errors
/// The first row, counted from `first_row`, with a number that JSON does not have.
pub(super) fn json_text(field: &Field, array: &ArrayRef, first_row: u64) -> Result<ArrayRef> {
    let finite = FiniteNumbers::default();
    let options = EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(finite.clone()));
    let owned = Arc::new(field.clone());
    let fault = |error: Box<dyn std::error::Error + Send + Sync>| {
        not_json(field, String::new()).caused_by(error)
    };
    let mut encoder = make_encoder(&owned, array, &options).map_err(|error| fault(error.into()))?;
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 32);
    let mut buffer = Vec::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            texts.append_null();
            continue;
        }
        buffer.clear();
        encoder.encode(row, &mut buffer);
        if finite.have_been_left() {
            let place = format!(", row {} of the result", first_row + row as u64);
            return Err(not_json(field, place).hint(
                "JSON has no NaN and no infinity: replace them in the module's SQL, with NULLIF(x, 'NaN'::double) \
                 for instance",
            ));
        }
        texts.append_value(std::str::from_utf8(&buffer).map_err(|error| fault(error.into()))?);
    }
    Ok(Arc::new(texts.finish()))
}

fn not_json(field: &Field, place: String) -> Error {
    Error::new(
        ErrorKind::Value,
        Stage::Encode,
        format!(
            "column {}{place}: the value cannot be written as JSON",
            field.name()
        ),
    )
}

/// Notices NaN and infinities, which arrow-json writes as null.
#[derive(Debug, Clone, Default)]
struct FiniteNumbers {
    left: Arc<AtomicBool>,
}

impl FiniteNumbers {
    fn have_been_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

impl EncoderFactory for FiniteNumbers {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        // Without this factory, or it would be asked again.
        static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);
        if !array.data_type().is_floating() {
            return Ok(None);
        }
        let encoder = Noticing {
            plain: make_encoder(field, array, &PLAIN)?,
            left: Arc::clone(&self.left),
        };
        let nulls = array.nulls().cloned();
        Ok(Some(NullableEncoder::new(Box::new(encoder), nulls)))
    }
}

struct Noticing<'a> {
    plain: NullableEncoder<'a>,
    left: Arc<AtomicBool>,
}

impl Encoder for Noticing<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let begin = out.len();
        self.plain.encode(row, out);
        // It is not asked for values that are null.
        if out[begin..] == *b"null" {
            self.left.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Float64Array, ListArray, StructArray};
    use arrow::datatypes::{DataType, Float64Type};

    use super::*;

    fn texts(array: ArrayRef) -> Result<Vec<Option<String>>> {
        let field = Field::new("nested", array.data_type().clone(), true);
        let texts = json_text(&field, &array, 100)?;
        let texts = texts.as_string::<i32>().iter();
        Ok(texts.map(|text| text.map(str::to_owned)).collect())
    }

    #[test]
    fn lists_become_arrays_with_their_nulls() {
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(1.5), None]),
            None,
        ]);
        assert_eq!(
            texts(Arc::new(lists)).unwrap(),
            [Some("[1.5,null]".to_owned()), None]
        );
    }

    #[test]
    fn a_number_that_json_lacks_is_an_error_that_names_its_row_and_not_the_value() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
                Some(vec![Some(1.0)]),
                Some(vec![Some(2.0), Some(number)]),
            ]);
            let error = texts(Arc::new(lists)).unwrap_err().to_string();
            assert!(
                error.contains("column nested, row 101 of the result"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_number_that_json_lacks_below_a_null_is_none() {
        let below = Float64Array::from(vec![1.0, f64::NAN]);
        let column = Arc::new(Field::new("x", DataType::Float64, true));
        let structs = StructArray::new(
            vec![column].into(),
            vec![Arc::new(below)],
            Some(vec![true, false].into()),
        );
        assert_eq!(
            texts(Arc::new(structs)).unwrap(),
            [Some(r#"{"x":1.0}"#.to_owned()), None]
        );
    }
}
