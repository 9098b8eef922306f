import RADIUS
import Wire

/// Disconnect- and CoA-Requests at the listener: strangers get nothing, servers exactly one answer.
enum DynamicAuthorizationRequests {
    private static let server = Endpoint(IPAddress(v4: 0x0a63_0002), port: 40_000)
    private static let now = Instant(nanoseconds: 1_000_000_000)
    private static let wall: UInt32 = 1_795_230_880

    private static func machine(_ secret: String = "xyzzy5461") -> DynamicAuthorization {
        let nas = NASDescription(identifier: "gw-1", address: IPAddress(v4: 0xc000_0201))
        let client = DynamicAuthorization.Client(name: "aaa", address: server.address, secret: Secret(Array(secret.utf8)))
        return DynamicAuthorization(DynamicAuthorization.Settings(clients: [client], nas: nas))
    }

    /// Octets that nobody with the secret made; the seeds are signed with another.
    static func unsigned(_ octets: [UInt8]) {
        var machine = machine("known to nobody here")
        guard case .dropped = machine.receive(octets, from: server, at: now, wall: wall) else { found("a request without the secret") }
        expect(machine.remembered == 0, "a stranger's request is remembered")
    }

    /// A request whose signatures are right.
    static func signed(_ octets: [UInt8]) {
        var machine = machine()
        switch bounded("a request", { machine.receive(octets, from: server, at: now, wall: wall) }) {
        case .dropped(let drop, _):
            // The first Message-Authenticator is right; a second one, which is not, may stand behind it.
            let hasSecond = octets.dropFirst(38).contains(80)
            expect(drop == .malformed || drop == .stale || hasSecond && drop == .badMessageAuthenticator, "\(drop), though signed")
            expect(machine.remembered == 0, "a dropped request is remembered")
        case .reply(let reply, _, let cause):
            expect(cause != nil, "an answer to nothing")
            answered(reply, [42, 45], octets, &machine)
        case .request(let accepted):
            let targets = accepted.request.targets(among: sessions)
            guard case .dropped(.inProgress, _) = machine.receive(octets, from: server, at: now, wall: wall) else { found("taken up twice") }
            guard let reply = machine.answer(accepted, with: targets.map { _ in () }) else { found("no answer can be made") }
            let isDone = if case .success(let ids) = targets { !ids.isEmpty } else { false }
            answered(reply, isDone ? [41, 44] : [42, 45], octets, &machine)
        }
    }

    private static let sessions = [
        (
            id: 1,
            session: SessionDescription(
                accountingID: "s1", userName: Array("alice".utf8), nasPortID: "tunnel-1.public:3", addresses: [IPAddress(v4: 1)], service: 300)
        )
    ]

    private static func answered(_ reply: [UInt8], _ codes: [UInt8], _ request: [UInt8], _ machine: inout DynamicAuthorization) {
        expect(codes.contains(reply.first ?? 0) && (20...4096).contains(reply.count), "an answer of code \(reply.first ?? 0)")
        guard case .reply(reply, _, nil) = machine.receive(request, from: server, at: now, wall: wall) else { found("a copy gets other octets") }
    }
}
