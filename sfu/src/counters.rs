//! Numbers that only grow, kept by one thread and read by any, without locks.

/// Declares a struct of counts, and its shared copy: the owner stores into it, anyone loads from it.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident, $shared:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $name {
            /// Every count with its name, in the order of declaration.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }

        #[doc = concat!("[`", stringify!($name), "`] as other threads see them.")]
        #[derive(Debug, Default)]
        pub(crate) struct $shared {
            $($field: std::sync::atomic::AtomicU64,)*
        }

        impl $shared {
            pub(crate) fn store(&self, counters: $name) {
                $(self.$field.store(counters.$field, std::sync::atomic::Ordering::Relaxed);)*
            }

            pub(crate) fn load(&self) -> $name {
                $name { $($field: self.$field.load(std::sync::atomic::Ordering::Relaxed),)* }
            }
        }
    };
}

pub(crate) use counters;

counters! {
    /// What a worker's core has done since its start. What comes in is forwarded, dropped for a named reason, or not media.
    Counters, SharedCounters {
        /// Datagrams taken from the network.
        datagrams,
        /// RTP packets that are authentic and belong to a published track.
        received,
        /// RTP packets of a published track that another worker has passed on.
        mirrored,
        /// Of those: come to too late, and dropped.
        outdated,
        /// Copies that were due to subscribers: for every packet that is not silenced, one for each who is to hear it.
        due,
        /// Copies handed to the network; `due == forwarded + late + unsendable`, always.
        forwarded,
        /// Copies not made because the packet is older than what its subscriber has been sent since a pause.
        late,
        /// Copies not made because the subscriber has no path at the moment.
        unsendable,
        /// Packets that the loudest speakers' rule kept from everybody, and those that came too late to go with their talk spurt.
        withheld,
        /// Packets sent again on request.
        repaired,
        /// Packets not forwarded because their track is muted or their sender may not publish.
        silenced,
        /// Datagrams from addresses that ICE has not validated, or of no known protocol.
        unvalidated,
        /// SRTP and SRTCP packets that failed authentication or came again.
        unauthentic,
        /// Authentic RTP packets of no published track, with an unexpected payload type, or with damaged RED.
        unknown,
        /// Messages taken from data channels.
        data_received,
        /// Copies of messages handed to recipients' data channels.
        data_sent,
        /// Copies of messages not sent: the recipient reads too slowly, or has no open channel for them.
        data_dropped,
        /// Messages on the channel for data tracks, which are not offered.
        data_unsupported,
    }
}
