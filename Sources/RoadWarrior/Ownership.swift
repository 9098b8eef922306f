package import IKEMessages

/// For drivers that have several road warriors on one socket: whose is a datagram?
extension RoadWarrior {
    /// Whether this is our SPI of an IKE SA that is in use, or of one on its way out.
    package func owns(ikeSPI spi: IKESPI) -> Bool {
        stage != .closed && ([ike] + former).contains { ($0.isInitiator ? $0.initiatorSPI : $0.responderSPI) == spi }
    }

    /// Whether ESP packets with this SPI are ours.
    package func owns(espSPI spi: UInt32) -> Bool {
        children.contains { $0.inboundSPI == spi } || retired.contains { $0.sa.inboundSPI == spi }
    }
}
