//! Names of keys that commands have left for the next tick, one behind the other in one buffer.
//!
//! Made at load and never grown: a command must not allocate for us. What does not fit is dropped
//! and counted; whoever empties it decides whether that matters.

/// Names longer than this are dropped: their length stands in two bytes.
const NAME_BYTES_MAX: usize = 1024;
/// Bytes in front of a name: its length, and what its command is to it.
const HEAD: usize = 3;

/// See the head of the file.
pub(super) struct Names {
    bytes: Vec<u8>,
    room: usize,
    dropped: u64,
}

impl Names {
    /// Room for so many bytes of names and their heads.
    pub(super) fn with_room(room: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(room),
            room,
            dropped: 0,
        }
    }

    /// Leaves a name; `fresh` where its value is a new one, whatever was there.
    pub(super) fn leave(&mut self, name: &[u8], fresh: bool) {
        let Some(len) = u16::try_from(name.len())
            .ok()
            .filter(|_| name.len() <= NAME_BYTES_MAX && self.room() >= HEAD + name.len())
        else {
            self.dropped += 1;
            return;
        };
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.push(fresh.into());
        self.bytes.extend_from_slice(name);
    }

    fn room(&self) -> usize {
        self.room - self.bytes.len()
    }

    /// Takes the names out, at most `max`; the rest stays, oldest first.
    pub(super) fn take(&mut self, max: usize) -> Vec<(Box<[u8]>, bool)> {
        let (mut taken, mut at) = (Vec::new(), 0);
        while let Some((name, fresh, next)) = self.at(at).filter(|_| taken.len() < max) {
            taken.push((name.into(), fresh));
            at = next;
        }
        self.bytes.drain(..at);
        taken
    }

    /// The name at an offset, and the offset of the next one.
    fn at(&self, at: usize) -> Option<(&[u8], bool, usize)> {
        let rest = self.bytes.get(at..)?;
        let (head, rest) = rest.split_at_checked(HEAD)?;
        let len = usize::from(u16::from_le_bytes(head.get(..2)?.try_into().ok()?));
        let fresh = head.last().is_some_and(|fresh| *fresh != 0);
        Some((rest.get(..len)?, fresh, at + HEAD + len))
    }

    /// Drops all names: they may mean other keys now.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// How many names did not fit so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_as_they_went_in() {
        let mut names = Names::with_room(1 << 16);
        names.leave(b"one", true);
        names.leave(b"", false);
        names.leave(&[7; 1025], false);
        names.leave(b"two", false);
        let name = |text: &[u8]| Box::<[u8]>::from(text);
        assert_eq!(names.take(2), [(name(b"one"), true), (name(b""), false)]);
        assert_eq!(names.take(9), [(name(b"two"), false)]);
        assert!(names.take(9).is_empty());
        assert_eq!(names.dropped(), 1);
    }

    #[test]
    fn the_buffer_never_grows() {
        let mut names = Names::with_room(1 << 16);
        let capacity = names.bytes.capacity();
        (0..10_000).for_each(|_| names.leave(b"a name of some length", false));
        assert_eq!(names.bytes.capacity(), capacity);
        assert!(names.dropped() > 0 && names.take(usize::MAX).len() > 2_000);
    }
}
