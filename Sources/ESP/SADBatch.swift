package import GatewayCrypto
package import Wire

extension SAD {
    // Packets from outside opened many at a time: `begin` for each, a flush of the batch, `finish` for each in the order they came.

    /// A packet between the two.
    package struct Opening: Sendable {
        let slot: Int
        let pending: InboundSA.Pending
    }

    /// Where the SA in a slot that `slot(of:)` gave stands in a batch.
    @_noLocks
    package func lane(inSlot slot: Int) -> Lane { unsafe pairs[slot].inbound.lane }

    /// Gives a packet to the batch; `slot(of:)` gave the slot for it. The packet, and the Child SA, stay where they are until the flush. A refusal is counted here.
    @_noLocks
    package mutating func begin(_ packet: PacketView, slot: Int, in batch: inout RecordBatch) throws(Drop) -> Opening {
        do throws(Drop) {
            try mayOpen(slot)
            let pending = try unsafe pairs[slot].inbound.begin(packet, in: &batch)
            return Opening(slot: slot, pending: pending)
        } catch {
            refuse(error, tunnel: unsafe pairs[slot].tunnel)
            throw error
        }
    }

    /// What `open` does once a packet is decrypted; no Child SA has come or gone since `begin`. What that asked is asked again: packets of the same batch
    /// may have used it up. A refusal is counted here.
    @_noLocks
    package mutating func finish(
        _ packet: PacketView, _ opening: Opening, in batch: borrowing RecordBatch, from peer: Endpoint, at local: Endpoint, trafficClass: UInt8,
        now: Instant
    ) throws(Drop) -> Delivery {
        let slot = opening.slot
        do throws(Drop) {
            try mayOpen(slot)
            let opened = try unsafe pairs[slot].inbound.finish(packet, opening.pending, in: batch)
            return try judge(packet, opened, slot: slot, from: peer, at: local, trafficClass: trafficClass, now: now)
        } catch {
            refuse(error, tunnel: unsafe pairs[slot].tunnel)
            throw error
        }
    }
}
