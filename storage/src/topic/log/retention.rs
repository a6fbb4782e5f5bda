//! Which segments may go, and their removal.

use std::io;

use crate::error::StoreError;
use crate::topic::recover;

use super::{Log, Segment};

impl Log {
    /// Bytes of all segments.
    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// The offset up to which whole segments may go: none of their records is younger than `oldest`, or the log is
    /// larger than `most` bytes.
    pub(in crate::topic) async fn removable(
        &mut self,
        oldest: Option<i64>,
        most: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        let (mut bytes, mut start) = (self.bytes(), None);
        for at in 0..self.segments.len().saturating_sub(1) {
            let old = match oldest {
                Some(oldest) => self.greatest_time(at).await? < oldest,
                None => false,
            };
            if !old && most.is_none_or(|most| bytes <= most) {
                break;
            }
            bytes -= self.segments[at].bytes;
            start = Some(self.segments[at + 1].name.base);
        }
        Ok(start)
    }

    async fn greatest_time(&mut self, at: usize) -> Result<i64, StoreError> {
        let Segment { name, greatest_time, .. } = self.segments[at].clone();
        if let Some(time) = greatest_time {
            return Ok(time);
        }
        let (path, end) = (self.dir.join(name.file()), self.segments[at + 1].name.base);
        let time = recover::greatest_time(&*self.disk, &path, self.place(name, 0), end).await?;
        self.segments[at].greatest_time = Some(time);
        Ok(time)
    }

    /// Removes the segments that end at or before `start`.
    pub(in crate::topic) async fn remove_before(&mut self, start: u64) -> Result<u64, StoreError> {
        let mut removed = 0;
        while self.segments.len() > 1 && self.segments[1].name.base <= start {
            let path = self.dir.join(self.segments[0].name.file());
            match self.disk.remove(&path).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &path)(error));
                }
                _ => {}
            }
            self.segments.remove(0);
            removed += 1;
        }
        Ok(removed)
    }
}
