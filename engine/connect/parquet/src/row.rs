//! Takes a record apart into its columns.

use std::fmt::{self, Display};

use serde::ser::{self, Impossible, Serialize, SerializeStruct, Serializer};

use crate::column::Column;

/// What is wrong with a record.
#[derive(Debug)]
pub(crate) struct Wrong(String);

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl ser::Error for Wrong {
    fn custom<T: Display>(message: T) -> Wrong {
        Wrong(message.to_string())
    }
}

/// A row that is being written.
pub(crate) struct Row<'a> {
    columns: &'a mut [Column],
    /// Rows before it.
    before: u64,
    /// The column that is likely the next field's.
    next: usize,
    /// What its values take.
    bytes: usize,
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: &'a mut [Column], before: u64) -> Row<'a> {
        Row { columns, before, next: 0, bytes: 0 }
    }
}

impl SerializeStruct for Row<'_> {
    type Ok = usize;
    type Error = Wrong;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Wrong> {
        let likely = self.columns.get(self.next).filter(|column| column.name() == key).map(|_| self.next);
        let found = likely.or_else(|| self.columns.iter().position(|column| column.name() == key));
        let at = found.ok_or_else(|| Wrong(format!("field {key}: there is no column of that name")))?;
        self.next = at + 1;
        let column = &mut self.columns[at];
        if column.rows > self.before {
            return Err(Wrong(format!("column {key}: the record has two values for it")));
        }
        let bytes = value.serialize(Cell(column));
        self.bytes += bytes.map_err(|wrong| Wrong(format!("column {key}: {wrong}")))?;
        Ok(())
    }

    fn end(mut self) -> Result<usize, Wrong> {
        for column in self.columns.iter_mut().filter(|column| column.rows == self.before) {
            let bytes = column.push_null();
            self.bytes += bytes.map_err(|wrong| Wrong(format!("column {}: {wrong}", column.name())))?;
        }
        Ok(self.bytes)
    }
}

/// Where one value goes.
struct Cell<'a>(&'a mut Column);

fn no_value<T>(kind: &str) -> Result<T, Wrong> {
    Err(Wrong(format!("{kind} is no plain value")))
}

/// The kinds of values that are not of columns, each with what is said about it.
macro_rules! refuse_nested {
    ($no:ident, tuple) => {
        refuse_nested!($no);

        fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeStruct, Wrong> {
            $no(&format!("a struct {name}"))
        }
    };
    ($no:ident) => {
        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            name: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<usize, Wrong> {
            $no(&format!("a variant of {name} with a value"))
        }
        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Wrong> {
            $no("a list")
        }
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Wrong> {
            $no("a tuple")
        }
        fn serialize_tuple_struct(
            self,
            name: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, Wrong> {
            $no(&format!("a tuple {name}"))
        }
        fn serialize_tuple_variant(
            self,
            name: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleVariant, Wrong> {
            $no(&format!("a variant of {name} with values"))
        }
        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Wrong> {
            $no("a map")
        }
        fn serialize_struct_variant(
            self,
            name: &'static str,
            _: u32,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeStructVariant, Wrong> {
            $no(&format!("a variant of {name} with fields"))
        }
    };
}

/// Values that are pushed by one call each.
macro_rules! push {
    ($($method:ident($kind:ty) => $push:ident($($to:tt)+);)*) => {
        $(fn $method(self, value: $kind) -> Result<usize, Wrong> {
            push!(@ self, value, $push, $($to)+).map_err(Wrong)
        })*
    };
    (@ $cell:ident, $value:ident, $push:ident, as it is) => { $cell.0.$push($value) };
    (@ $cell:ident, $value:ident, $push:ident, into) => { $cell.0.$push($value.into()) };
}

impl Serializer for Cell<'_> {
    type Ok = usize;
    type Error = Wrong;
    type SerializeSeq = Impossible<usize, Wrong>;
    type SerializeTuple = Impossible<usize, Wrong>;
    type SerializeTupleStruct = Impossible<usize, Wrong>;
    type SerializeTupleVariant = Impossible<usize, Wrong>;
    type SerializeMap = Impossible<usize, Wrong>;
    type SerializeStruct = Impossible<usize, Wrong>;
    type SerializeStructVariant = Impossible<usize, Wrong>;

    push! {
        serialize_bool(bool) => push_bool(as it is);
        serialize_i8(i8) => push_int(into);
        serialize_i16(i16) => push_int(into);
        serialize_i32(i32) => push_int(into);
        serialize_i64(i64) => push_int(into);
        serialize_i128(i128) => push_int(as it is);
        serialize_u8(u8) => push_int(into);
        serialize_u16(u16) => push_int(into);
        serialize_u32(u32) => push_int(into);
        serialize_u64(u64) => push_int(into);
        serialize_f32(f32) => push_f32(as it is);
        serialize_f64(f64) => push_f64(as it is);
        serialize_bytes(&[u8]) => push_bytes(as it is);
    }

    fn serialize_char(self, value: char) -> Result<usize, Wrong> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<usize, Wrong> {
        self.0.push_bytes(value.as_bytes()).map_err(Wrong)
    }

    fn serialize_none(self) -> Result<usize, Wrong> {
        self.0.push_null().map_err(Wrong)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<usize, Wrong> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<usize, Wrong> {
        no_value("nothing")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<usize, Wrong> {
        no_value(&format!("a struct {name}"))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<usize, Wrong> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<usize, Wrong> {
        value.serialize(self)
    }

    refuse_nested!(no_value, tuple);
}

/// Where a record goes.
pub(crate) struct Rows<'a>(pub(crate) Row<'a>);

fn no_record<T>(kind: &str) -> Result<T, Wrong> {
    Err(Wrong(format!("it must be a struct with named fields, and is {kind}")))
}

/// Values that are no records.
macro_rules! refuse_plain {
    ($($method:ident($kind:ty);)*) => {
        $(fn $method(self, _: $kind) -> Result<usize, Wrong> {
            no_record(concat!("of type ", stringify!($kind)))
        })*
    };
}

impl<'a> Serializer for Rows<'a> {
    type Ok = usize;
    type Error = Wrong;
    type SerializeSeq = Impossible<usize, Wrong>;
    type SerializeTuple = Impossible<usize, Wrong>;
    type SerializeTupleStruct = Impossible<usize, Wrong>;
    type SerializeTupleVariant = Impossible<usize, Wrong>;
    type SerializeMap = Impossible<usize, Wrong>;
    type SerializeStruct = Row<'a>;
    type SerializeStructVariant = Impossible<usize, Wrong>;

    refuse_plain! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
    }

    fn serialize_none(self) -> Result<usize, Wrong> {
        no_record("None")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<usize, Wrong> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<usize, Wrong> {
        no_record("nothing")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<usize, Wrong> {
        no_record(name)
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, _: &'static str) -> Result<usize, Wrong> {
        no_record(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<usize, Wrong> {
        value.serialize(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Row<'a>, Wrong> {
        Ok(self.0)
    }

    refuse_nested!(no_record);
}
