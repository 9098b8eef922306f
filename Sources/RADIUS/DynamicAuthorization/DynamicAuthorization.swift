package import Wire

/// Disconnect- and CoA-Requests (RFC 5176; features.md RAD-9, RAD-10, X-5; threats.md P20). Pure: a datagram and where it came from go in; what
/// comes out is authentic and well-formed, or an answer, or a counted drop. Whoever acts on a request gives its outcome back and gets the octets.
package struct DynamicAuthorization: Sendable {
    /// A server with `accept-coa`.
    package struct Client: Sendable {
        package let name: String
        package let address: IPAddress
        package let secret: Secret<[UInt8]>

        package init(name: String, address: IPAddress, secret: Secret<[UInt8]>) {
            self.name = name
            self.address = address
            self.secret = secret
        }
    }

    package struct Settings: Sendable {
        package var clients: [Client]
        package var nas: NASDescription
        /// How far an Event-Timestamp may be from our clock, either way.
        package var eventTimestampWindow: Duration = .seconds(300)
        package var requiresEventTimestamp = false
        package var requiresMessageAuthenticator = false
        package var isStrictAboutIdentification = false

        package init(clients: [Client], nas: NASDescription) {
            self.clients = clients
            self.nas = nas
        }
    }

    /// Why a datagram got no answer.
    package enum Drop: Hashable, Sendable {
        case unknownSource
        case malformed
        case unexpectedCode
        case badAuthenticator
        case badMessageAuthenticator
        case missingMessageAuthenticator
        /// An Event-Timestamp outside of the window.
        case stale
        case missingEventTimestamp
        /// A copy of a request that is being worked on.
        case inProgress
        /// Our own fault: the answer could not be made.
        case unanswerable
    }

    /// A request to act on; `answer` needs it.
    package struct Accepted: Sendable {
        package let request: DynamicRequest
        /// The server's name.
        package let client: String
        package let source: Endpoint
        let packet: RADIUSPacket
        let key: DuplicateCache.Key
        let secret: Secret<[UInt8]>
    }

    package enum Reception: Sendable {
        /// With the server's name, where it is known.
        case dropped(Drop, client: String?)
        /// Octets for the sender: of a copy, or of a request that is refused.
        case reply([UInt8], client: String, refused: ErrorCause?)
        case request(Accepted)
    }

    /// How long a request is remembered that has no Event-Timestamp by which its copies grow stale.
    static let memory: Duration = .seconds(30)

    private var settings: Settings
    private var clients: [IPAddress: Client]
    private var duplicates = DuplicateCache()
    /// Drops and answers since the start.
    package private(set) var statistics = Statistics()

    package struct Statistics: Hashable, Sendable {
        package var drops: [Drop: Int] = [:]
        package var requests = 0
        package var duplicates = 0
        package var acknowledged = 0
        package var refused: [ErrorCause: Int] = [:]
    }

    /// The first of two servers with one address counts.
    package init(_ settings: Settings) {
        self.settings = settings
        clients = Self.table(settings)
    }

    /// Another configuration; what was answered stays known.
    package mutating func configure(_ settings: Settings) {
        self.settings = settings
        clients = Self.table(settings)
    }

    private static func table(_ settings: Settings) -> [IPAddress: Client] {
        Dictionary(settings.clients.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Requests that are remembered, for gauges.
    package var remembered: Int { duplicates.count }

    /// Takes up a datagram; `wall` is seconds since 1970.
    package mutating func receive(_ datagram: [UInt8], from source: Endpoint, at now: Instant, wall: UInt32) -> Reception {
        let client = clients[source.address]
        do throws(Refusal) {
            guard let client else { throw .drop(.unknownSource) }
            return try accept(datagram, from: source, client: client, at: now, wall: wall)
        } catch {
            switch error {
            case .drop(let drop):
                statistics.drops[drop, default: 0] += 1
                return .dropped(drop, client: client?.name)
            case .reply(let octets): return .reply(octets, client: client?.name ?? "", refused: nil)
            case .refuse(let accepted, let cause):
                guard let octets = answer(accepted, with: .failure(RefusedRequest(cause))) else {
                    return .dropped(.unanswerable, client: accepted.client)
                }
                return .reply(octets, client: accepted.client, refused: cause)
            }
        }
    }

    private enum Refusal: Error {
        case drop(Drop)
        case reply([UInt8])
        case refuse(Accepted, ErrorCause)
    }

    private mutating func accept(
        _ datagram: [UInt8], from source: Endpoint, client: Client, at now: Instant, wall: UInt32
    ) throws(Refusal) -> Reception {
        // The code is looked at first, so that no reply ever passes as a request.
        guard let first = datagram.first, [RADIUSCode.disconnectRequest, .coaRequest].contains(RADIUSCode(rawValue: first)) else {
            throw .drop(datagram.isEmpty ? .malformed : .unexpectedCode)
        }
        let packet = try decode(datagram, secret: client.secret)
        let key = DuplicateCache.Key(
            source: source.address, code: packet.code.rawValue, identifier: packet.identifier, authenticator: packet.authenticator)
        switch duplicates.entry(for: key, at: now) {
        case .answered(let octets):
            statistics.duplicates += 1
            throw .reply(octets)
        case .inProgress: throw .drop(.inProgress)
        case nil: break
        }
        let remaining = try freshness(packet, wall: wall)
        statistics.requests += 1
        duplicates.begin(key, until: now + remaining, at: now)
        func accepted(_ request: DynamicRequest) -> Accepted {
            Accepted(request: request, client: client.name, source: source, packet: packet, key: key, secret: client.secret)
        }
        do throws(RefusedRequest) {
            let request = try DynamicRequest(packet, nas: settings.nas, isStrict: settings.isStrictAboutIdentification)
            return .request(accepted(request))
        } catch {
            throw .refuse(accepted(.disconnect(SessionIdentification())), error.cause)
        }
    }

    private func decode(_ datagram: [UInt8], secret: Secret<[UInt8]>) throws(Refusal) -> RADIUSPacket {
        do throws(RADIUSError) {
            return try RADIUSPacket(decoding: datagram, secret: secret, requiresMessageAuthenticator: settings.requiresMessageAuthenticator)
        } catch {
            switch error {
            case .badAuthenticator: throw .drop(.badAuthenticator)
            case .badMessageAuthenticator: throw .drop(.badMessageAuthenticator)
            case .missingMessageAuthenticator: throw .drop(.missingMessageAuthenticator)
            default: throw .drop(.malformed)
            }
        }
    }

    /// RFC 5176 section 6.3. How long a copy of the request would still be fresh; throws when this one is not.
    private func freshness(_ packet: RADIUSPacket, wall: UInt32) throws(Refusal) -> Duration {
        let stamps = packet.all(.eventTimestamp)
        guard !stamps.isEmpty else {
            guard !settings.requiresEventTimestamp else { throw .drop(.missingEventTimestamp) }
            return Self.memory
        }
        var remaining = Duration.zero
        for stamp in stamps {
            guard let time = stamp.integer else { throw .drop(.malformed) }
            let ahead = Duration.seconds(Int64(time) - Int64(wall))
            guard ahead <= settings.eventTimestampWindow, .zero - ahead <= settings.eventTimestampWindow else { throw .drop(.stale) }
            // one second more: the clock that is compared counts whole ones
            remaining = max(remaining, ahead + settings.eventTimestampWindow + .seconds(1))
        }
        return max(remaining, Self.memory)
    }

    /// The octets that answer a request: ACK when it was done, NAK with the Error-Cause otherwise. A copy of the request gets the same; nil when
    /// they cannot be made.
    package mutating func answer(_ accepted: Accepted, with outcome: Result<Void, RefusedRequest>) -> [UInt8]? {
        let octets = Self.encode(accepted, outcome)
        guard let octets else {
            statistics.drops[.unanswerable, default: 0] += 1
            return nil
        }
        switch outcome {
        case .success: statistics.acknowledged += 1
        case .failure(let refusal): statistics.refused[refusal.cause, default: 0] += 1
        }
        _ = duplicates.answer(accepted.key, with: octets)
        return octets
    }

    /// Proxy-State comes back as it came, in its order (RFC 5176 section 3.1); the cause gives way to it when there is no room for both.
    private static func encode(_ accepted: Accepted, _ outcome: Result<Void, RefusedRequest>) -> [UInt8]? {
        let packet = accepted.packet
        let isDisconnect = packet.code == .disconnectRequest
        let code: RADIUSCode
        var attributes: [RADIUSAttribute] = []
        switch outcome {
        case .success: code = isDisconnect ? .disconnectACK : .coaACK
        case .failure(let refusal):
            code = isDisconnect ? .disconnectNAK : .coaNAK
            attributes.append(RADIUSAttribute(.errorCause, refusal.cause.rawValue))
        }
        let states = packet.all(.proxyState)
        for attributes in [attributes + states, states] {
            let reply = RADIUSPacket(code, identifier: packet.identifier, attributes: attributes)
            let octets = try? reply.encode(secret: accepted.secret, request: packet.authenticator, signed: packet.hadMessageAuthenticator)
            if let octets { return octets }
        }
        return nil
    }
}
