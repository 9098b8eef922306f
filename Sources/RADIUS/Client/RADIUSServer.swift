package import Wire

/// Why a datagram was not taken for a reply (threats.md C12, P19).
package enum RADIUSDrop: Hashable, Sendable, CaseIterable {
    /// From another address or port than the server's.
    case wrongSource
    /// No request with this identifier was ever sent on this socket.
    case unknownIdentifier
    /// The request was given up, or moved to another server.
    case late
    /// The request was answered before.
    case duplicate
    /// No packet: its lengths lie.
    case malformed
    /// A code that answers no request of this kind.
    case unexpectedCode
    case badAuthenticator
    case missingMessageAuthenticator
    case badMessageAuthenticator

    init(_ error: RADIUSError) {
        self =
            switch error {
            case .badAuthenticator: .badAuthenticator
            case .missingMessageAuthenticator: .missingMessageAuthenticator
            case .badMessageAuthenticator: .badMessageAuthenticator
            case .unknownCode: .unexpectedCode
            default: .malformed
            }
    }
}

/// What `ipsec-gwctl radius` shows of one server.
package struct RADIUSServerStatistics: Equatable, Sendable {
    package var name: String
    package var endpoint: Endpoint
    package var isUp = true
    /// Until when it is left alone; nil while it is up.
    package var heldDownUntil: Instant?
    /// Requests, each once however often it was sent.
    package var requests: UInt64 = 0
    package var retransmissions: UInt64 = 0
    package var accepts: UInt64 = 0
    package var rejects: UInt64 = 0
    package var challenges: UInt64 = 0
    /// Accounting-Responses.
    package var responses: UInt64 = 0
    /// Requests that were given up here.
    package var timeouts: UInt64 = 0
    /// Replies that were the server's and made no sense.
    package var unusable: UInt64 = 0
    package var drops: [RADIUSDrop: UInt64] = [:]
    /// Smoothed over about eight requests that were sent once; nil before the first.
    package var roundTrip: Duration?
    package var outstanding = 0
    package var sockets = 0

    package init(name: String, endpoint: Endpoint) {
        self.name = name
        self.endpoint = endpoint
    }

    /// Everything that counts as a reply.
    package var replies: UInt64 { accepts + rejects + challenges + responses }
}

/// One server of a policy: whether it lives, its sockets, its counts.
struct RADIUSServer: Sendable {
    enum Liveness: Equatable, Sendable {
        case up
        /// Left alone until then. After it, one request tries it.
        case down(until: Instant, probe: RADIUSClient.TransactionID?)
    }

    let settings: RADIUSServerSettings
    var liveness = Liveness.up
    var lastReply: Instant?
    var sockets: [RADIUSClient.SocketID] = []
    var statistics: RADIUSServerStatistics

    init(_ settings: RADIUSServerSettings, kind: RADIUSClient.Kind) {
        self.settings = settings
        let port = kind == .authentication ? settings.authenticationPort : settings.accountingPort
        statistics = RADIUSServerStatistics(name: settings.name, endpoint: Endpoint(settings.address, port: port))
    }

    var isUp: Bool { liveness == .up }

    /// Whether it may be asked: up, or its time is over and nobody tries it yet.
    func isEligible(at now: Instant) -> Bool {
        switch liveness {
        case .up: true
        case .down(let until, let probe): probe == nil && now >= until
        }
    }

    mutating func count(_ packet: RADIUSPacket) {
        switch packet.code {
        case .accessAccept: statistics.accepts += 1
        case .accessReject: statistics.rejects += 1
        case .accessChallenge: statistics.challenges += 1
        default: statistics.responses += 1
        }
    }

    mutating func smooth(_ roundTrip: Duration) {
        statistics.roundTrip = statistics.roundTrip.map { ($0 * 7 + roundTrip) / 8 } ?? roundTrip
    }
}
