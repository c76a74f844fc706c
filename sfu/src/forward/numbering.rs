//! Numbers that go on without a gap, whatever is left out on purpose.

use crate::rtp::{ExtSeq, SeqNo};

/// Maps incoming sequence numbers to outgoing ones by an anchor.
///
/// While it holds, the outgoing number is a pure function of the incoming one, so losses and reordering stay what they
/// are. A new anchor never reaches back: outgoing numbers only rise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbering {
    anchor: Option<Anchor>,
    /// The extended sequence number that the next anchor starts with.
    next: ExtSeq,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    incoming: ExtSeq,
    outgoing: ExtSeq,
}

impl Numbering {
    pub(crate) fn starting_at(first: ExtSeq) -> Self {
        Self { anchor: None, next: first }
    }

    /// The outgoing number for an incoming one; `None` for packets from before the anchor.
    ///
    /// The first packet after [`Self::detach`] sets the anchor and continues without a gap.
    pub(crate) fn outgoing(&mut self, incoming: ExtSeq) -> Option<ExtSeq> {
        let anchor = *self.anchor.get_or_insert(Anchor { incoming, outgoing: self.next });
        let outgoing = ExtSeq(anchor.outgoing.0 + incoming.0.checked_sub(anchor.incoming.0)?);
        self.next = self.next.max(ExtSeq(outgoing.0 + 1));
        Some(outgoing)
    }

    /// What a receiver means by an outgoing number: the incoming and the outgoing one, extended, if it was given under
    /// this anchor.
    pub(crate) fn named(&self, outgoing: SeqNo) -> Option<(ExtSeq, ExtSeq)> {
        let anchor = self.anchor?;
        let latest = ExtSeq(self.next.0.checked_sub(1)?);
        let age = latest.seq().0.wrapping_sub(outgoing.0);
        let outgoing = ExtSeq(latest.0.checked_sub(u64::from(age))?);
        let incoming = ExtSeq(anchor.incoming.0 + outgoing.0.checked_sub(anchor.outgoing.0)?);
        Some((incoming, outgoing))
    }

    /// The lowest number that has not been given.
    pub(crate) fn next(&self) -> ExtSeq {
        self.next
    }

    /// The next packet continues without a gap, whatever its own number.
    pub(crate) fn detach(&mut self) {
        self.anchor = None;
    }

    /// Whether the next packet continues what came before it, rather than a new beginning.
    pub(crate) fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }
}
