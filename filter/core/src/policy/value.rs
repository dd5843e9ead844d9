//! Typed documents as policy values, without JSON text on the way.
//!
//! regorus reads JSON or a `serde_json::Value`; both cost more than the decision's own work.
//! The result here is the same value that the JSON route gives.

use std::collections::BTreeMap;
use std::fmt::Display;

use regorus::Value;
use serde::ser::{self, Serialize};

use super::part::Part;

/// Serialises a document into a policy value.
///
/// # Errors
/// When a map has a key that JSON could not have, or the document's own `Serialize` fails.
pub fn to_value<T: Serialize + ?Sized>(document: &T) -> Result<Value, InvalidDocument> {
    document.serialize(ToValue(&Part::Whole))
}

/// Serialises a part of a document into a policy value.
///
/// # Errors
/// As [`to_value`].
pub fn part_to_value<T: Serialize + ?Sized>(
    document: &T,
    part: &Part,
) -> Result<Value, InvalidDocument> {
    document.serialize(ToValue(part))
}

/// Whether a JSON pointer names anything in a value.
#[must_use]
pub fn has(value: &Value, pointer: &str) -> bool {
    let steps = pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let mut at = value;
    for step in steps {
        let next = match at {
            Value::Object(fields) => fields.get(&Value::from(step.as_str())),
            Value::Array(items) => step.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match next {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// A document that has no policy value.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    /// A map's key is null, an array or an object.
    #[error("a key of an object must be a string")]
    Key,
    /// The document's own message.
    #[error("{0}")]
    Custom(String),
}

impl ser::Error for InvalidDocument {
    fn custom<T: Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

struct ToValue<'p>(&'p Part);

impl<'p> ser::Serializer for ToValue<'p> {
    type Ok = Value;
    type Error = InvalidDocument;
    type SerializeSeq = Array;
    type SerializeTuple = Array;
    type SerializeTupleStruct = Array;
    type SerializeTupleVariant = Variant<Array>;
    type SerializeMap = Object<'p>;
    type SerializeStruct = Object<'p>;
    type SerializeStructVariant = Variant<Object<'p>>;

    fn serialize_bool(self, v: bool) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_i8(self, v: i8) -> Result<Value, InvalidDocument> {
        Ok(Value::from(i64::from(v)))
    }

    fn serialize_i16(self, v: i16) -> Result<Value, InvalidDocument> {
        Ok(Value::from(i64::from(v)))
    }

    fn serialize_i32(self, v: i32) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_i64(self, v: i64) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_i128(self, v: i128) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_u8(self, v: u8) -> Result<Value, InvalidDocument> {
        Ok(Value::from(u64::from(v)))
    }

    fn serialize_u16(self, v: u16) -> Result<Value, InvalidDocument> {
        Ok(Value::from(u64::from(v)))
    }

    fn serialize_u32(self, v: u32) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_u64(self, v: u64) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_u128(self, v: u128) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_f32(self, v: f32) -> Result<Value, InvalidDocument> {
        Ok(Value::from(f64::from(v)))
    }

    // Not finite gives null, as in JSON.
    fn serialize_f64(self, v: f64) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_char(self, v: char) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v.to_string()))
    }

    fn serialize_str(self, v: &str) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v))
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Value, InvalidDocument> {
        Ok(Value::from(v.iter().map(|byte| Value::from(u64::from(*byte))).collect::<Vec<_>>()))
    }

    fn serialize_none(self) -> Result<Value, InvalidDocument> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, v: &T) -> Result<Value, InvalidDocument> {
        v.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, InvalidDocument> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, InvalidDocument> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, InvalidDocument> {
        Ok(Value::from(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        v: &T,
    ) -> Result<Value, InvalidDocument> {
        v.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        v: &T,
    ) -> Result<Value, InvalidDocument> {
        Ok(tagged(variant, to_value(v)?))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Array, InvalidDocument> {
        Ok(Array::new(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Array, InvalidDocument> {
        Ok(Array::new(Some(len)))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Array, InvalidDocument> {
        Ok(Array::new(Some(len)))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Variant<Array>, InvalidDocument> {
        Ok(Variant { name: variant, content: Array::new(Some(len)) })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'p>, InvalidDocument> {
        Ok(Object::new(self.0))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'p>, InvalidDocument> {
        Ok(Object::new(self.0))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<Object<'p>>, InvalidDocument> {
        Ok(Variant { name: variant, content: Object::new(&Part::Whole) })
    }
}

struct Array(Vec<Value>);

impl Array {
    fn new(len: Option<usize>) -> Self {
        Self(Vec::with_capacity(len.unwrap_or(0)))
    }

    fn push<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        self.0.push(to_value(v)?);
        Ok(())
    }

    fn finish(self) -> Value {
        Value::from(self.0)
    }
}

impl ser::SerializeSeq for Array {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        self.push(v)
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(self.finish())
    }
}

impl ser::SerializeTuple for Array {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        self.push(v)
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(self.finish())
    }
}

impl ser::SerializeTupleStruct for Array {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        self.push(v)
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(self.finish())
    }
}

struct Object<'p> {
    part: &'p Part,
    fields: BTreeMap<Value, Value>,
    key: Option<Value>,
}

impl<'p> Object<'p> {
    fn new(part: &'p Part) -> Self {
        Self { part, fields: BTreeMap::new(), key: None }
    }

    fn insert<T: Serialize + ?Sized>(&mut self, name: &str, v: &T) -> Result<(), InvalidDocument> {
        if let Some((key, part)) = self.part.field(name) {
            self.fields.insert(key, v.serialize(ToValue(part))?);
        }
        Ok(())
    }

    fn finish(self) -> Value {
        Value::from(self.fields)
    }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        self.key = Some(key(to_value(v)?)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        match self.key.take() {
            Some(Value::String(name)) => self.insert(&name, v),
            _ => Err(InvalidDocument::Key),
        }
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(self.finish())
    }
}

impl ser::SerializeStruct for Object<'_> {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        v: &T,
    ) -> Result<(), InvalidDocument> {
        self.insert(key, v)
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(self.finish())
    }
}

/// `{"name": content}`, the shape of an enum's variant in JSON.
struct Variant<C> {
    name: &'static str,
    content: C,
}

impl ser::SerializeTupleVariant for Variant<Array> {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, v: &T) -> Result<(), InvalidDocument> {
        self.content.push(v)
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(tagged(self.name, self.content.finish()))
    }
}

impl ser::SerializeStructVariant for Variant<Object<'_>> {
    type Ok = Value;
    type Error = InvalidDocument;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        v: &T,
    ) -> Result<(), InvalidDocument> {
        self.content.insert(key, v)
    }

    fn end(self) -> Result<Value, InvalidDocument> {
        Ok(tagged(self.name, self.content.finish()))
    }
}

fn tagged(name: &'static str, content: Value) -> Value {
    Value::from(BTreeMap::from([(Value::from(name), content)]))
}

/// A key as JSON writes it: a string, or a scalar in quotes.
fn key(value: Value) -> Result<Value, InvalidDocument> {
    match value {
        Value::String(_) => Ok(value),
        Value::Bool(_) | Value::Number(_) => Ok(Value::from(value.to_string())),
        Value::Null | Value::Array(_) | Value::Set(_) | Value::Object(_) | Value::Undefined => {
            Err(InvalidDocument::Key)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Serialize;

    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    enum Shape {
        Unit,
        Newtype(u8),
        Tuple(u8, i16),
        Struct { inner_field: Option<char> },
    }

    #[derive(Serialize)]
    struct Wrapped(String);

    #[derive(Serialize)]
    struct Document {
        text: &'static str,
        absent: Option<u8>,
        present: Option<bool>,
        unit: (),
        tuple: (i8, u64, i64, f64),
        nan: f64,
        list: Vec<Shape>,
        map: BTreeMap<String, Vec<u32>>,
        numbers: HashMap<u16, Wrapped>,
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<u8>,
        #[serde(flatten)]
        flat: BTreeMap<&'static str, bool>,
    }

    #[test]
    fn a_document_is_the_same_value_as_its_json() {
        let document = Document {
            text: "ü\"\0",
            absent: None,
            present: Some(true),
            unit: (),
            tuple: (-1, u64::MAX, i64::MIN, 1.5),
            nan: f64::NAN,
            list: vec![
                Shape::Unit,
                Shape::Newtype(7),
                Shape::Tuple(1, -2),
                Shape::Struct { inner_field: Some('x') },
            ],
            map: BTreeMap::from([("a".into(), vec![1, 2]), (String::new(), vec![])]),
            numbers: HashMap::from([(443, Wrapped("https".into()))]),
            skipped: None,
            flat: BTreeMap::from([("flat", false)]),
        };
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(to_value(&document).unwrap(), Value::from_json_str(&json).unwrap(), "{json}");
    }

    #[test]
    fn a_pointer_names_what_it_names_in_json() {
        let json = serde_json::json!({"a": {"b/c": [{"~": null}, 1]}, "": {"": 0}});
        let value = to_value(&json).unwrap();
        for pointer in [
            "",
            "/a",
            "/a/b~1c",
            "/a/b~1c/0",
            "/a/b~1c/0/~0",
            "/a/b~1c/1",
            "/a/b~1c/2",
            "/a/b~1c/-",
            "/a/b",
            "/b",
            "/",
            "//",
            "/a/b~1c/1/x",
            "/a/b~1c/00",
        ] {
            let named = has(&value, pointer);
            assert!(named || json.pointer(pointer).is_none(), "{pointer}");
            // `00` is an index here, and that only means more care.
            assert!(
                !named || json.pointer(pointer).is_some() || pointer.ends_with("00"),
                "{pointer}"
            );
        }
    }

    #[test]
    fn a_key_that_json_cannot_have_is_an_error() {
        let error = to_value(&BTreeMap::from([(vec![1u8], 1u8)])).unwrap_err();
        assert_eq!(error.to_string(), "a key of an object must be a string");
        assert!(to_value(&BTreeMap::from([("key", 1u8)])).is_ok());
    }
}
