internal import GatewayCrypto
package import IKEMessages
package import RoadWarrior
package import Wire

/// A client of a `Pair`: a road warrior, perhaps behind a NAT.
package final class PairClient {
    /// A NAT before the client: where it seems to be, and from which port on.
    package struct NAT: Sendable {
        package var address: IPAddress
        package var firstPort: UInt16

        package init(address: IPAddress, firstPort: UInt16) {
            self.address = address
            self.firstPort = firstPort
        }
    }

    package var warrior: RoadWarrior
    package let index: Int
    package var nat: NAT?
    /// Everything but datagrams.
    package var events: [RoadWarrior.Output] = []
    /// ESP packets and keepalives on their way to the datapath.
    package var packets: [RoadWarrior.Datagram] = []
    /// It is gone without a word: it neither sends nor hears.
    package var isSilent = false
    package var octetsOut = 0
    /// It asked for Child SAs, or deleted its own, by hand: the road warrior itself does not follow that.
    package var madeChildren = false

    init(_ settings: RoadWarrior.Settings, index: Int, nat: NAT?) {
        warrior = RoadWarrior(settings)
        self.index = index
        self.nat = nat
    }

    /// Where the gateway sees an end of this client.
    package func outside(_ local: Endpoint) -> Endpoint {
        guard let nat else { return local }
        return Endpoint(nat.address, port: nat.firstPort + (local.port == warrior.settings.local.port ? 0 : 1))
    }

    func isReached(at remote: Endpoint) -> Bool {
        let settings = warrior.settings
        return remote == outside(settings.local) || remote == outside(Endpoint(settings.local.address, port: settings.localNATPort))
    }

    // The macros of Testing cannot look into a value that cannot be copied.
    package var stage: RoadWarrior.Stage { warrior.stage }
    package var isEstablished: Bool { warrior.stage == .established }
    package var childSA: RoadWarrior.ChildEstablished? { warrior.childSA }
    package var childSPIs: Set<UInt32> { warrior.childSPIs }
    package var keys: ExposedKeys? { warrior.exposedKeys }
    package var initiatorSPI: IKESPI { warrior.initiatorSPI }
    package var responderSPI: IKESPI { warrior.responderSPI }
    package var clientDrops: RoadWarrior.Drops { warrior.drops }
    package var nextMessageID: UInt32 { warrior.nextMessageID }
    package var outstandingMessageID: UInt32? { warrior.outstandingMessageID }
    package var nextDeadline: Instant? { warrior.nextDeadline }
    package var settings: RoadWarrior.Settings { warrior.settings }
    package var isEncapsulated: Bool { warrior.encapsulated }
    package var isBehindNAT: Bool { warrior.behindNAT }

    /// What the gateway told of itself when the IKE SA stood.
    package var establishment: RoadWarrior.Established? {
        events.lazy.compactMap { if case .established(let value) = $0 { value } else { nil } }.first
    }
    package var closure: RoadWarrior.Closure? {
        events.lazy.compactMap { if case .closed(let value) = $0 { value } else { nil } }.first
    }
    package var refusals: [NotifyType] {
        events.compactMap { if case .refused(let value) = $0 { value.notify.type } else { nil } }
    }
    package var responses: [[Payload]] {
        events.compactMap { if case .response(_, _, let payloads) = $0 { payloads } else { nil } }
    }

    /// A properly protected message of this client; nil before it has keys.
    package func forge(
        _ exchange: ExchangeType, _ payloads: [Payload], id: UInt32, flags: IKEHeader.Flags = [.initiator], initiatorSPI: IKESPI? = nil,
        responderSPI: IKESPI? = nil
    ) -> [UInt8]? {
        warrior.forge(exchange, payloads, messageID: id, flags: flags, initiatorSPI: initiatorSPI, responderSPI: responderSPI)
    }

    /// A properly protected fragment of this client.
    package func forge(
        _ exchange: ExchangeType, piece: [UInt8], first: PayloadType, number: UInt16, of total: UInt16, id: UInt32,
        flags: IKEHeader.Flags = [.initiator]
    ) -> [UInt8]? {
        warrior.forge(exchange, piece: piece, first: first, number: number, of: total, messageID: id, flags: flags)
    }
}

extension PairClient {
    /// An ESP packet around anything.
    package func seal(anything inner: [UInt8]) -> [UInt8]? { warrior.seal(anything: inner)?.octets }
}

extension PairClient {
    /// The payloads of a protected message of the gateway.
    package func warriorReveals(_ octets: [UInt8]) -> [Payload]? { warrior.reveal(octets) }
}
