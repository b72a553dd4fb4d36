//! Stacks in the format that `go tool pprof`, Speedscope and Grafana read: `profile.proto` of
//! [google/pprof](https://github.com/google/pprof/blob/main/proto/profile.proto), as gzip.
//!
//! Written by messages of our own, because pprof-rs merges lines and pins an older prost. Addresses,
//! mappings and lines are left out: stacks hold names alone.

use std::collections::HashMap;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::stacks::Stacks;

/// Encodes stacks that were sampled at `frequency_hz` of processor time during `duration`. Each has
/// two values: its sightings, and the processor time that they mean.
///
/// # Errors
/// When the encoder fails, which it does not in memory.
pub(crate) fn encode(stacks: &Stacks, frequency_hz: u32, duration: Duration) -> Result<Vec<u8>> {
    let message = profile(stacks, frequency_hz, duration).encode_to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&message)
        .and_then(|()| gzip.finish())
        .context("cannot compress the profile")
}

fn profile(stacks: &Stacks, frequency_hz: u32, duration: Duration) -> Profile {
    let period = 1_000_000_000 / i64::from(frequency_hz.max(1));
    let mut names = Names::default();
    // The format asks for the empty string at 0.
    names.index("");
    let samples = ValueType {
        kind: names.index("samples"),
        unit: names.index("count"),
    };
    let cpu = ValueType {
        kind: names.index("cpu"),
        unit: names.index("nanoseconds"),
    };
    let mut functions = Names::default();
    let mut sample = Vec::new();
    for (stack, count) in stacks.iter() {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        sample.push(Sample {
            // The innermost first. Zero is no id.
            location_id: stack
                .iter()
                .rev()
                .map(|frame| functions.index(frame).unsigned_abs() + 1)
                .collect(),
            value: vec![count, count.saturating_mul(period)],
        });
    }
    let ids = 1..;
    let function: Vec<Function> = ids
        .zip(&functions.in_order)
        .map(|(id, name)| Function {
            id,
            name: names.index(name),
        })
        .collect();
    let location = function
        .iter()
        .map(|function| Location {
            id: function.id,
            line: vec![Line {
                function_id: function.id,
            }],
        })
        .collect();
    Profile {
        default_sample_type: cpu.kind,
        sample_type: vec![samples, cpu],
        sample,
        location,
        function,
        duration_nanos: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX),
        period_type: Some(cpu),
        period,
        string_table: names.in_order,
    }
}

/// Strings by the order in which they were first asked for.
#[derive(Default)]
struct Names {
    in_order: Vec<String>,
    known: HashMap<String, i64>,
}

impl Names {
    fn index(&mut self, name: &str) -> i64 {
        if let Some(index) = self.known.get(name) {
            return *index;
        }
        let index = self.known.len() as i64;
        self.known.insert(name.to_owned(), index);
        self.in_order.push(name.to_owned());
        index
    }
}

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

/// Indexes of strings.
#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    /// The format calls it `type`.
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    /// A field of a message. Read by hand: prost would read back whatever tags it wrote.
    enum Field<'a> {
        Number(u64),
        Bytes(&'a [u8]),
    }

    impl<'a> Field<'a> {
        fn number(&self) -> u64 {
            match self {
                Self::Number(number) => *number,
                Self::Bytes(_) => panic!("no number"),
            }
        }

        fn bytes(&self) -> &'a [u8] {
            match self {
                Self::Bytes(bytes) => bytes,
                Self::Number(_) => panic!("no bytes"),
            }
        }
    }

    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }

    fn varints(mut bytes: &[u8]) -> Vec<u64> {
        let mut numbers = Vec::new();
        while !bytes.is_empty() {
            numbers.push(varint(&mut bytes));
        }
        numbers
    }

    /// The fields of a message under `tag`.
    fn fields(mut bytes: &[u8], tag: u64) -> Vec<Field<'_>> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).unwrap();
                    let (field, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(field)
                }
                other => panic!("wire type {other}"),
            };
            if key >> 3 == tag {
                found.push(field);
            }
        }
        found
    }

    fn number(message: &[u8], tag: u64) -> u64 {
        fields(message, tag).first().map_or(0, Field::number)
    }

    fn inflated(bytes: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut message).unwrap();
        message
    }

    /// Tags as `profile.proto` has them.
    fn read(message: &[u8]) -> Stacks {
        let strings: Vec<&str> = fields(message, 6)
            .iter()
            .map(|text| std::str::from_utf8(text.bytes()).unwrap())
            .collect();
        assert_eq!(strings[0], "");
        let string = |index: u64| strings[usize::try_from(index).unwrap()];
        let functions: HashMap<u64, &str> = fields(message, 5)
            .iter()
            .map(Field::bytes)
            .map(|function| (number(function, 1), string(number(function, 2))))
            .collect();
        let locations: HashMap<u64, &str> = fields(message, 4)
            .iter()
            .map(Field::bytes)
            .map(|location| {
                let line = fields(location, 4)[0].bytes();
                (number(location, 1), functions[&number(line, 1)])
            })
            .collect();
        let types: Vec<(&str, &str)> = fields(message, 1)
            .iter()
            .map(Field::bytes)
            .map(|kind| (string(number(kind, 1)), string(number(kind, 2))))
            .collect();
        assert_eq!(types, [("samples", "count"), ("cpu", "nanoseconds")]);
        let mut stacks = Stacks::default();
        for sample in fields(message, 2).iter().map(Field::bytes) {
            let frames = varints(fields(sample, 1)[0].bytes());
            let frames = frames.iter().rev().map(|id| locations[id].to_owned());
            let values = varints(fields(sample, 2)[0].bytes());
            assert_eq!(values[1], values[0] * 10_101_010);
            stacks.add(frames.collect(), values[0]);
        }
        stacks
    }

    #[test]
    fn every_stack_is_there_by_the_published_tags() {
        let stacks = Stacks::parse("main 3\nmain;a;b;a 200\nmain;<T as b::C>::d 70000\nä 1\n");
        let bytes = encode(&stacks, 99, Duration::from_secs(2)).unwrap();
        let message = inflated(&bytes);
        assert_eq!(read(&message), stacks);
        assert_eq!(number(&message, 10), 2_000_000_000);
        assert_eq!(number(&message, 12), 10_101_010);
        assert_eq!(
            number(fields(&message, 11)[0].bytes(), 1),
            number(&message, 14)
        );
    }

    #[test]
    fn equal_stacks_give_equal_bytes() {
        let stacks = Stacks::parse("main;a 1\nmain;b 2\n");
        let encoded = || encode(&stacks, 99, Duration::from_secs(1)).unwrap();
        assert_eq!(encoded(), encoded());
        let empty = encode(&Stacks::default(), 99, Duration::ZERO).unwrap();
        assert_eq!(read(&inflated(&empty)), Stacks::default());
    }
}
