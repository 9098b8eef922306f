import GatewayCrypto
import IKEMessages
import Logging
import NIOPosix
import RADIUS
import Testing
import Wire

@testable import Gateway
@testable import IKE

@Suite("Logins by RADIUS, with a scripted server", .timeLimit(.minutes(3)))
struct AAATests {
    private static let ipv4: AddressWish = {
        var wish = AddressWish()
        wish.ipv4 = true
        return wish
    }()

    /// Who asks, configured for servers at these ports.
    private static func aaa(_ plan: Plan) async -> AAA {
        let aaa = AAA(
            group: MultiThreadedEventLoopGroup.singleton, entropy: SystemEntropy(), accountingIDs: AccountingIDs(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        await aaa.configure(plan.radius)
        return aaa
    }

    /// A gateway whose server answers by a script.
    private static func with(
        method: String, _ script: @escaping ScriptedServer.Script,
        _ body: (AAA, GatewayRuntime, ScriptedServer) async throws -> Void
    ) async throws {
        try await ScriptedServer.with(script) { server in
            let plan = try RADIUSGateway.plan(ports: [server.port], method: method)
            let aaa = await Self.aaa(plan)
            try await body(aaa, try RADIUSGateway.runtime(plan), server)
            await aaa.stop()
        }
    }

    private static func identity(_ name: String, ownProof: ProofKind = .certificate) -> EAPQuestion {
        let octets = Array(name.utf8)
        let length = UInt16(octets.count + 5)
        return EAPQuestion(
            message: [2, 0, UInt8(length >> 8), UInt8(length & 255), 1] + octets, identity: octets, isFirst: true, ownProof: ownProof)
    }

    private static func answer(_ message: [UInt8], _ name: String) -> EAPQuestion {
        EAPQuestion(message: message, identity: Array(name.utf8), isFirst: false, ownProof: .certificate)
    }

    private static func question(_ name: String, _ proof: ProofKind, remote: Endpoint) -> AddressQuestion {
        AddressQuestion(
            peer: IdentificationPayload(type: .fqdn, data: Array(name.utf8)), proof: proof, eapIdentity: proof == .eap ? Array(name.utf8) : nil,
            wish: ipv4, initialContact: false, remote: remote)
    }

    private static let keys = [
        RADIUSAttribute(.msMPPERecvKey, [UInt8](repeating: 1, count: 32)), RADIUSAttribute(.msMPPESendKey, [UInt8](repeating: 2, count: 32)),
    ]

    /// EAP-MSCHAPv2 in one round: a challenge to the identity, then what `last` says.
    private static func conversation(_ last: @escaping ScriptedServer.Script) -> ScriptedServer.Script {
        { request in
            if request.packet.first(.state) == nil {
                return [request.reply(.accessChallenge, [RADIUSAttribute(.eapMessage, [1, 1, 0, 6, 26, 7]), RADIUSAttribute(.state, "s")])]
            }
            return last(request)
        }
    }

    private static func refusal(_ answer: EAPAnswer) -> (cause: String, isRejection: Bool)? {
        if case .failure(_, let cause, let isRejection) = answer { (cause, isRejection) } else { nil }
    }

    private static func refusal(_ outcome: AAA.Outcome) -> (cause: String, isRejection: Bool)? {
        if case .refused(let refusal, let isRejection) = outcome { (refusal.cause, isRejection) } else { nil }
    }

    @Test("AUTH-4, threat_P17: challenge, answer, Access-Accept with its keys; the name that counts is the server's, the password is never sent")
    func AUTH_4_conversation() async throws {
        let script = Self.conversation { request in
            [
                request.reply(
                    .accessAccept,
                    [RADIUSAttribute(.eapMessage, [3, 1, 0, 4]), RADIUSAttribute(.userName, "Alice A"), RADIUSAttribute(.class, "c")] + Self.keys)
            ]
        }
        try await Self.with(method: "eap, own-auth-method: psk", script) { aaa, gateway, server in
            let login = RADIUSGateway.login(1, gateway)
            guard case .request(let request) = await aaa.relay(Self.identity("alice"), login) else {
                Issue.record("no challenge")
                return
            }
            #expect(request == [1, 1, 0, 6, 26, 7])
            #expect(await aaa.conversationCount == 1)
            guard case .success(let message, .some) = await aaa.relay(Self.answer([2, 1, 0, 6, 26, 9], "alice"), login) else {
                Issue.record("not accepted with a key")
                return
            }
            #expect(message == [3, 1, 0, 4])
            #expect(await aaa.conversationCount == 0)
            guard case .authorized(let authorization) = await aaa.authorize(Self.question("idi", .eap, remote: login.remote), login) else {
                Issue.record("not authorized")
                return
            }
            #expect(authorization.name == "Alice A" && authorization.accept.classes == [Array("c".utf8)] && authorization.server == "aaa0")
            let requests = server.requests
            #expect(requests.map { $0.name() } == ["alice", "alice"] && requests.allSatisfy { $0.packet.first(.userPassword) == nil })
            #expect(requests.last?.packet.first(.state)?.text == "s" && requests.last?.packet.first(.eapMessage)?.value == [2, 1, 0, 6, 26, 9])
            #expect(Set(requests.map { $0.packet.first(.acctSessionID)?.text }) == [authorization.acctSessionID])
            // What was said is used once.
            #expect(Self.refusal(await aaa.authorize(Self.question("idi", .eap, remote: login.remote), login))?.isRejection == false)
        }
    }

    @Test(
        "threat_C6: EAP-Success in a challenge, an Accept without keys, and a session that was never accepted are no login; none is the client's fault",
        arguments: ["success in challenge", "accept without keys", "keys of no use", "never accepted"])
    func threat_C6_bypass(_ what: String) async throws {
        let script = Self.conversation { request in
            switch what {
            case "success in challenge":
                [request.reply(.accessChallenge, [RADIUSAttribute(.eapMessage, [3, 1, 0, 4]), RADIUSAttribute(.state, "t")] + Self.keys)]
            case "accept without keys": [request.reply(.accessAccept, [RADIUSAttribute(.eapMessage, [3, 1, 0, 4])])]
            default:
                [
                    request.reply(
                        .accessAccept,
                        [
                            RADIUSAttribute(.eapMessage, [3, 1, 0, 4]), RADIUSAttribute(.msMPPERecvKey, [UInt8](repeating: 1, count: 5)),
                            RADIUSAttribute(.msMPPESendKey, [UInt8](repeating: 2, count: 32)),
                        ])
                ]
            }
        }
        try await Self.with(method: "eap, own-auth-method: psk", script) { aaa, gateway, _ in
            let login = RADIUSGateway.login(1, gateway)
            if what != "never accepted" {
                _ = await aaa.relay(Self.identity("alice"), login)
                let refused = Self.refusal(await aaa.relay(Self.answer([2, 1, 0, 6, 26, 9], "alice"), login))
                #expect(refused?.isRejection == false)
            }
            #expect(Self.refusal(await aaa.authorize(Self.question("alice", .eap, remote: login.remote), login))?.isRejection == false)
            #expect(await aaa.conversationCount == 0)
        }
    }

    @Test("RAD-12, X-12: Access-Reject is the client's fault and its Reply-Message is told, escaped")
    func RAD_12_reject() async throws {
        let script = Self.conversation { request in
            [request.reply(.accessReject, [RADIUSAttribute(.eapMessage, [4, 1, 0, 4]), RADIUSAttribute(.replyMessage, "go\naway")])]
        }
        try await Self.with(method: "eap, own-auth-method: psk", script) { aaa, gateway, _ in
            let login = RADIUSGateway.login(1, gateway)
            _ = await aaa.relay(Self.identity("alice"), login)
            let refused = Self.refusal(await aaa.relay(Self.answer([2, 1, 0, 6, 26, 9], "alice"), login))
            #expect(refused?.isRejection == true && refused?.cause.hasPrefix("RADIUS server aaa0 rejects it: go") == true)
            #expect(refused?.cause.contains("\n") == false)
            #expect(await aaa.conversationCount == 0)
        }
    }

    @Test("AUTH-3, RAD-2, RAD-3: psk-radius asks once, with the PSK as password and the name of IDi")
    func AUTH_3_psk() async throws {
        try await Self.with(method: "psk-radius") {
            [$0.reply($0.name() == "bob" ? .accessReject : .accessAccept)]
        } _: { aaa, gateway, server in
            let login = RADIUSGateway.login(1, gateway)
            guard case .authorized(let authorization) = await aaa.authorize(Self.question("alice", .sharedKey, remote: login.remote), login) else {
                Issue.record("not authorized")
                return
            }
            #expect(authorization.name == "alice")
            let request = try #require(server.requests.first)
            #expect(request.packet.first(.userPassword)?.text == RADIUSGateway.sharedKey && request.octets[20] == 80)
            #expect(request.packet.first(.acctSessionID)?.text?.hasPrefix("192.0.2.1-\(login.remote)-") == true)
            let bob = Self.refusal(await aaa.authorize(Self.question("bob", .sharedKey, remote: login.remote), login))
            #expect(bob?.isRejection == true)
            #expect(server.requests.count == 2)
            // RAD-1: refused, never cut
            let long = String(repeating: "x", count: 254)
            #expect(Self.refusal(await aaa.authorize(Self.question(long, .sharedKey, remote: login.remote), login))?.isRejection == false)
            #expect(server.requests.count == 2)
        }
    }

    @Test("RAD-12: a challenge where no EAP is, and an Accept that cannot be followed, refuse the login", arguments: ["challenge", "service"])
    func RAD_12_senseless(_ what: String) async throws {
        try await Self.with(method: "psk-radius") { request in
            [what == "challenge" ? request.reply(.accessChallenge) : request.reply(.accessAccept, [RADIUSAttribute(.alcIPsecServID, 99)])]
        } _: { aaa, gateway, _ in
            let login = RADIUSGateway.login(1, gateway)
            let refused = Self.refusal(await aaa.authorize(Self.question("alice", .sharedKey, remote: login.remote), login))
            #expect(refused?.isRejection == false && refused?.cause.isEmpty == false)
        }
    }

    @Test("threat_P4: of one source 128 conversations wait at most; others come in, and what is given up makes room")
    func threat_P4_oneSource() async throws {
        try await Self.with(method: "eap, own-auth-method: psk", Self.conversation { _ in [] }) { aaa, gateway, server in
            for id in UInt64(0)..<UInt64(AAA.mostOfOneSource) {
                guard case .request = await aaa.relay(Self.identity("user\(id)"), RADIUSGateway.login(id, gateway)) else {
                    Issue.record("\(id) is refused")
                    return
                }
            }
            let asked = server.requests.count
            let refused = Self.refusal(await aaa.relay(Self.identity("more"), RADIUSGateway.login(999, gateway)))
            #expect(refused?.isRejection == false && refused?.cause.contains("too many EAP conversations") == true)
            #expect(server.requests.count == asked, "the server does not hear of it")
            guard case .request = await aaa.relay(Self.identity("other"), RADIUSGateway.login(1000, gateway, network: 2)) else {
                Issue.record("another source is refused")
                return
            }
            await aaa.abandon(5)
            guard case .request = await aaa.relay(Self.identity("more"), RADIUSGateway.login(999, gateway)) else {
                Issue.record("there is no room")
                return
            }
            #expect(await aaa.conversationCount == AAA.mostOfOneSource + 1)
            for id in UInt64(0)..<UInt64(1001) { await aaa.abandon(id) }
            #expect(await aaa.conversationCount == 0)
        }
    }

    @Test("threat_P4: 5,000 clients that stop after EAP-Identity: no more than the cap are kept, nothing is left when they are given up")
    func threat_P4_fiveThousandThatStop() async throws {
        try await Self.with(method: "eap, own-auth-method: psk", Self.conversation { _ in [] }) { aaa, gateway, _ in
            var started = 0
            for first in stride(from: UInt64(0), to: 5000, by: 100) {
                started += await withTaskGroup(of: Bool.self) { group in
                    for id in first..<first + 100 {
                        group.addTask {
                            if case .request = await aaa.relay(Self.identity("u\(id)"), RADIUSGateway.login(id, gateway, network: UInt32(id))) {
                                true
                            } else {
                                false
                            }
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
            }
            #expect(started == AAA.mostConversations)
            #expect(await aaa.conversationCount == AAA.mostConversations)
            for id in UInt64(0)..<5000 { await aaa.abandon(id) }
            #expect(await aaa.conversationCount == 0)
        }
    }

    @Test("threat_P19: 600 logins by EAP at once over one server: each is accepted under its own name")
    func threat_P19_sixHundredLogins() async throws {
        let script = Self.conversation { request in
            [request.reply(.accessAccept, [RADIUSAttribute(.eapMessage, [3, 1, 0, 4]), RADIUSAttribute(.class, request.name() ?? "")] + Self.keys)]
        }
        try await Self.with(method: "eap, own-auth-method: psk", script) { aaa, gateway, _ in
            let own = await withTaskGroup(of: Bool.self) { group in
                for id in UInt64(0)..<600 {
                    group.addTask {
                        let (name, login) = ("user\(id)", RADIUSGateway.login(id, gateway, network: UInt32(id)))
                        guard case .request = await aaa.relay(Self.identity(name), login),
                            case .success(_, .some) = await aaa.relay(Self.answer([2, 1, 0, 6, 26, 9], name), login),
                            case .authorized(let given) = await aaa.authorize(Self.question("idi", .eap, remote: login.remote), login)
                        else { return false }
                        return given.name == name && given.accept.classes == [Array(name.utf8)]
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(own == 600)
            #expect(await aaa.conversationCount == 0)
        }
    }
}
