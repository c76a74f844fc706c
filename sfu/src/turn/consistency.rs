//! What must hold of a server's tables after every step.

use super::Server;
use super::server::Deadline;

impl Server {
    /// # Panics
    /// When two tables contradict each other or a bound is passed.
    pub(crate) fn check(&self) {
        let limits = &self.config.limits;
        let (allocated, reserved) = self.pool.held();
        let mut addresses = 0;
        for (index, allocation) in &self.allocations {
            assert_eq!(self.allocation_by_client.get(&allocation.client), Some(&index));
            assert!(self.deadlines.contains(&(allocation.deadline, Deadline::Allocation(index))));
            assert_eq!(allocation.next_expiry(), Some(allocation.deadline));
            assert!(allocation.permissions.len() <= limits.permissions_per_allocation);
            assert!(allocation.channels.len() <= limits.channels_per_allocation);
            let participant = &allocation.participant;
            assert!(self.ports_by_participant.of(participant) <= limits.allocations_per_participant);
            for address in allocation.addresses() {
                assert_eq!(self.pool.allocation(address), Some(index));
                addresses += 1;
            }
        }
        assert_eq!(addresses, allocated);
        assert_eq!(self.allocation_by_client.len(), self.allocations.len());
        assert_eq!(self.deadlines.len(), self.allocations.len() + reserved);
        let counters = self.counters;
        assert_eq!(counters.allocated - counters.ended, self.allocations.len() as u64);
        if self.allocations.is_empty() {
            assert_eq!(self.allocations_by_source.owners(), 0);
            assert!(self.ports_by_participant.owners() <= reserved);
        }
    }

    /// # Panics
    /// When anything is left of anybody.
    pub(crate) fn check_empty(&self) {
        self.check();
        assert_eq!((self.allocations.len(), self.pool.held()), (0, (0, 0)));
        assert_eq!((self.ports_by_participant.owners(), self.next_timeout()), (0, None));
    }
}
