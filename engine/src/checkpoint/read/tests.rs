//! Archives and keys of real types, read by nothing but their names.

use proptest::prelude::*;
use rkyv::util::AlignedVec;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::shape::{Names, Shape};
use super::{decode, encode};
use crate::key::Key;
use crate::state::codec::{self, StateValue};

fn shape<T>() -> Option<Shape> {
    Shape::of(std::any::type_name::<T>(), Names::Full)
}

/// What the archive of a value is read as.
fn read<T: StateValue>(value: &T) -> Json {
    let shape = shape::<T>().expect("a known type");
    assert_eq!(shape.archived_size(), Some(size_of::<T::Archived>()));
    let mut bytes = AlignedVec::new();
    codec::encode(value, &mut bytes);
    decode::archive(&shape, &bytes).expect("its own archive")
}

#[track_caller]
fn same<T: StateValue + Serialize>(value: T) {
    assert_eq!(read(&value), serde_json::to_value(&value).expect("plain data"));
}

#[test]
fn archives_of_known_types_are_read_as_serde_would_write_them() {
    same((-7_i8, 60_000_u16, i32::MIN, u64::MAX, i64::MIN));
    same((true, 'ß', 1.5_f64, 0.25_f32, -3_isize, 4_usize));
    for text in ["", "JFK", "8 bytes.", "nine byte", &"long ".repeat(100)] {
        same(text.to_owned());
        same(vec![Some(text.to_owned()), None]);
    }
    same([(1_u8, Some("one".to_owned())), (2, None)]);
    same(vec![vec![1_u64, 2], vec![], vec![3]]);
    same(Vec::<String>::new());
    same(Some((Some(5_i64), [[1_u8, 2], [3, 4]])));
}

#[test]
fn what_json_cannot_say_as_a_number_is_a_text() {
    assert_eq!(read(&u128::MAX), json!(u128::MAX.to_string()));
    assert_eq!(read(&i128::MIN), json!(i128::MIN.to_string()));
    assert_eq!(read(&7_i128), json!(7));
    assert_eq!(read(&f64::NAN), json!("NaN"));
    assert_eq!(read(&f32::NEG_INFINITY), json!("-inf"));
    assert_eq!(read(&0.1_f32), json!(0.1));
}

#[test]
fn of_lists_only_those_of_bytes_are_keys() {
    for of in
        [shape::<Vec<u16>>(), shape::<[u16; 2]>(), shape::<Vec<i8>>()].map(|of| of.expect("a known type"))
    {
        assert_eq!(encode::key(Some(&of), "[1, 2]"), None);
        for bytes in [&[2, 0, 0, 0, 1, 2][..], &[1, 2]] {
            assert_eq!(decode::key(&of, bytes), None);
        }
    }
}

mod own {
    #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
    pub struct String(pub u64);
}

#[test]
fn of_other_types_nothing_is_guessed() {
    assert_eq!(shape::<own::String>(), None, "not everybody's `String`");
    assert_eq!(shape::<Vec<own::String>>(), None);
    assert_eq!(shape::<Box<u64>>(), None);
    let plain = |name| Shape::of(name, Names::Plain);
    assert_eq!(plain("String"), None, "whose it is, a plain name does not say");
    assert_eq!(plain("(u64, [i8; 3])"), shape::<(u64, [i8; 3])>());
    for broken in
        ["", "(", "[u8]", "[u8; x]", "u64 ", "core::option::Option<", "[(); 9]", "alloc::vec::Vec<()>"]
    {
        assert_eq!(Shape::of(broken, Names::Full), None, "{broken}");
    }
    assert_eq!(Shape::of(&"(".repeat(1 << 20), Names::Full), None, "names come from files");
    let huge = Shape::of("[[u64; 4294967295]; 4294967295]", Names::Full);
    assert_eq!(huge.and_then(|huge| decode::archive(&huge, &[0; 8])), None);
}

#[test]
fn made_up_pointers_do_not_make_much_of_few_bytes() {
    let shape = Shape::of("alloc::vec::Vec<alloc::vec::Vec<u8>>", Names::Full).expect("a known type");
    // A thousand vectors, all of the same thousand bytes.
    let mut bytes = vec![0; 1000];
    for i in 0..1000_i32 {
        bytes.extend((-1000 - 8 * i).to_le_bytes());
        bytes.extend(1000_u32.to_le_bytes());
    }
    bytes.extend((-8000_i32).to_le_bytes());
    bytes.extend(1000_u32.to_le_bytes());
    assert_eq!(decode::archive(&shape, &bytes), None);
}

#[track_caller]
fn key_round_trip<K: Key>(key: &K, text: &str, json: Json) {
    let shape = shape::<K>();
    let bytes = key.encoded(<[u8]>::to_vec);
    assert_eq!(decode::key(shape.as_ref().expect("a known type"), &bytes), Some(json));
    assert_eq!(encode::key(shape.as_ref(), text).as_ref(), Some(&bytes));
    let hex = format!("hex:{}", crate::state::operator::hex(&bytes));
    assert_eq!(encode::key(shape.as_ref(), &hex).as_ref(), Some(&bytes));
}

#[test]
fn keys_are_read_and_written_as_the_job_encodes_them() {
    key_round_trip(&7_u64, "7", json!(7));
    key_round_trip(&-7_i16, "-7", json!(-7));
    key_round_trip(&u128::MAX, &u128::MAX.to_string(), json!(u128::MAX.to_string()));
    key_round_trip(&true, "true", json!(true));
    key_round_trip(&'ß', "ß", json!("ß"));
    key_round_trip(&"12".to_owned(), "12", json!("12"));
    key_round_trip(b"JFK", "JFK", json!([74, 70, 75]));
    key_round_trip(&b"LAX".to_vec(), "[76, 65, 88]", json!([76, 65, 88]));
    key_round_trip(&("JFK".to_owned(), 7_u16), r#"["JFK", 7]"#, json!(["JFK", 7]));
}

#[test]
fn what_is_no_key_of_the_type_is_refused() {
    let refuses = |name: &str, text: &str| {
        assert_eq!(encode::key(Shape::of(name, Names::Full).as_ref(), text), None, "{name}: {text}");
    };
    for (name, text) in
        [("u8", "256"), ("i8", "128"), ("i8", "-129"), ("u64", "-1"), ("bool", "1"), ("char", "ab")]
    {
        refuses(name, text);
    }
    for (name, text) in
        [("[u8; 3]", "JF"), ("(u8, u8)", "[1]"), ("f64", "1"), ("a::Type", "1"), ("u8", "hex:0")]
    {
        refuses(name, text);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), which in 0..5_usize) {
        let name = [
            "alloc::vec::Vec<alloc::string::String>",
            "core::option::Option<(alloc::string::String, u8)>",
            "[alloc::vec::Vec<u16>; 3]",
            "(bool, char, f32, i128)",
            "alloc::vec::Vec<core::option::Option<alloc::vec::Vec<u8>>>",
        ][which];
        let shape = Shape::of(name, Names::Full).expect("a known type");
        decode::archive(&shape, &bytes);
        decode::key(&shape, &bytes);
    }
}
