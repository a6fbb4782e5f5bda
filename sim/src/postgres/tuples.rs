//! The tuples of the server's binary COPY format, read by the book.

/// The fields of a row; `None` is NULL.
pub type Tuple = Vec<Option<Vec<u8>>>;

/// Reads tuples to the end of the bytes.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Vec<Tuple>, String> {
    let mut tuples = Vec::new();
    while !bytes.is_empty() {
        let count = i16::from_be_bytes(take(&mut bytes)?);
        let count = usize::try_from(count).map_err(|_| format!("a tuple of {count} fields"))?;
        tuples.push((0..count).map(|_| field(&mut bytes)).collect::<Result<_, _>>()?);
    }
    Ok(tuples)
}

fn field(bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, String> {
    let len = i32::from_be_bytes(take(bytes)?);
    if len == -1 {
        return Ok(None);
    }
    let field = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
    let (field, rest) = field.ok_or_else(|| format!("a field of {len} bytes, of {}", bytes.len()))?;
    *bytes = rest;
    Ok(Some(field.to_vec()))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], String> {
    let (taken, rest) = bytes.split_first_chunk().ok_or("a tuple that ends too early")?;
    *bytes = rest;
    Ok(*taken)
}
