package import Wire

/// Where a datapath carries the packets of the Child SAs, it learns their SPIs and keys by `Settings.childSPI` and `childKeyLog`, and tells here what
/// the client would have seen of the packets itself.
extension RoadWarrior {
    /// Our SPIs of the Child SAs that stand or are asked for; all others may go.
    package var childSPIs: Set<UInt32> {
        var spis = Set(children.map(\.inboundSPI))
        if let asked = childExchange?.inboundSPI { spis.insert(asked) }
        if stage == .authenticating { spis.insert(offeredSPI) }
        return spis
    }

    /// An authentic packet has come at `instant`, the last of those that came: a sign of life.
    package mutating func heard(at instant: Instant) {
        lastHeard = max(lastHeard, instant)
    }

    /// Packets have been sent at or after `instant`: the NAT is kept open.
    package mutating func sent(at instant: Instant) {
        lastSent = max(lastSent, instant)
    }

    /// An authentic packet has come on the Child SA with this SPI of ours. The gateway has gone over to what its rekey made, and so do we.
    package mutating func heard(onChild inboundSPI: UInt32, at now: Instant) {
        guard let child, child.successor == inboundSPI, let next = children.first(where: { $0.inboundSPI == inboundSPI }) else { return }
        use(next, at: now)
    }
}
