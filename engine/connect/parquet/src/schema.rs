//! The columns of a file.

use std::sync::Arc;

use parquet::basic::{Repetition, Type as Physical};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr};

/// A flat schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) root: TypePtr,
    pub(crate) columns: SchemaDescPtr,
}

impl Schema {
    /// # Errors
    /// What is wrong with the message.
    pub(crate) fn parse(message: &str) -> Result<Schema, String> {
        parse_message_type(message).map_err(|error| error.to_string()).and_then(Schema::check)
    }

    /// # Errors
    /// What is wrong with these columns.
    pub(crate) fn new(columns: Vec<Type>) -> Result<Schema, String> {
        let fields = columns.into_iter().map(Arc::new).collect();
        let root = Type::group_type_builder("record").with_fields(fields).build();
        root.map_err(|error| error.to_string()).and_then(Schema::check)
    }

    fn check(root: Type) -> Result<Schema, String> {
        if root.get_fields().is_empty() {
            return Err("there are no columns".to_owned());
        }
        root.get_fields().iter().try_for_each(|field| check_column(field))?;
        let root = Arc::new(root);
        Ok(Schema { columns: Arc::new(SchemaDescriptor::new(root.clone())), root })
    }
}

fn check_column(field: &Type) -> Result<(), String> {
    let name = field.name();
    if !field.is_primitive() {
        return Err(format!("column {name}: is a group, but only plain values can be written"));
    }
    if field.get_basic_info().repetition() == Repetition::REPEATED {
        return Err(format!("column {name}: is repeated, but only plain values can be written"));
    }
    match field.get_physical_type() {
        kind @ (Physical::INT96 | Physical::FIXED_LEN_BYTE_ARRAY) => {
            Err(format!("column {name}: {kind} cannot be written; int64 or binary can"))
        }
        _ => Ok(()),
    }
}
