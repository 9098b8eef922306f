package import Wire

/// Further Child SAs with the same selectors, each for another resource of ours, RFC 9611: `Settings.authNotifies` announces that with SA_RESOURCE_INFO.
extension RoadWarrior {
    /// Asks for one more, with the selectors of the one that packets are sent on; that stays as it is.
    package mutating func addResource(at now: Instant, into outputs: inout [Output]) {
        wishes.insert(.resource)
        sendWaiting(on: ike, at: now, into: &outputs)
    }

    /// Replaces one Child SA of several, by our SPI.
    package mutating func rekeyChild(_ inboundSPI: UInt32, at now: Instant, into outputs: inout [Output]) {
        wishes.insert(.rekeyOf(inboundSPI))
        sendWaiting(on: ike, at: now, into: &outputs)
    }

    /// Asks the gateway to delete one Child SA of several, by our SPI.
    package mutating func deleteChild(_ inboundSPI: UInt32, at now: Instant, into outputs: inout [Output]) {
        guard let old = children.first(where: { $0.inboundSPI == inboundSPI }), !old.isClosing else { return }
        delete(old, at: now, into: &outputs)
        guard old === child else { return }
        child = nil
        if let next = children.last(where: { !$0.isClosing }) { use(next, at: now) }
    }
}
