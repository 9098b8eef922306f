import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import Logging
import ManagementAPI
import NIOCore
import RADIUS
import Synchronization
import Wire

/// Asks RADIUS servers who a client is and what it may: EAP relayed message by message, PSK and certificate logins in one request
/// (features.md AUTH-3, AUTH-4).
actor AAA {
    /// A login, as far as requests tell of it.
    struct Login: Sendable {
        let id: UInt64
        let gateway: GatewayRuntime
        let local: Endpoint
        let remote: Endpoint
    }

    /// What became of an authorization.
    enum Outcome: Sendable {
        case authorized(Authorization)
        /// `isRejection`: the server said no, which counts for the lockout (features.md X-12); everything else is nobody's fault.
        case refused(AuthorizationRefusal, isRejection: Bool)
    }

    private struct Conversation {
        var machine: EAPConversation
        let exchange: RADIUSExchange
        let identity: [UInt8]
        let acctSessionID: String
        let source: String
    }

    private struct Accepted {
        let accept: AccessAccept
        let server: String
        let identity: [UInt8]
        let acctSessionID: String
    }

    private let entropy: any Entropy
    private let group: any EventLoopGroup
    private let logger: Logger
    private let accountingIDs: AccountingIDs
    private var exchanges: [String: RADIUSExchange] = [:]
    private var conversations: [UInt64: Conversation] = [:]
    /// Conversations of one IPv4 address or IPv6 /64.
    private var sources: [String: Int] = [:]
    /// Accepted by EAP; the client's last AUTH is still to come.
    private var accepted: [UInt64: Accepted] = [:]

    /// EAP conversations at once, and of one source (threats.md P4): beyond, a login fails and may come again.
    static let mostConversations = 4096
    static let mostOfOneSource = 128

    init(group: any EventLoopGroup, entropy: any Entropy, accountingIDs: AccountingIDs, logger: Logger) {
        self.group = group
        self.entropy = entropy
        self.accountingIDs = accountingIDs
        self.logger = logger
    }

    /// Takes up server policies; those that did not change go on with their sockets and what they know of their servers.
    func configure(_ plan: RADIUSPlan) async {
        var kept: [String: RADIUSExchange] = [:]
        for (name, settings) in plan.authentication {
            if let exchange = exchanges[name], await exchange.settings == settings {
                kept[name] = exchange
            } else {
                kept[name] = RADIUSExchange(name, settings, kind: .authentication, group: group, entropy: entropy, logger: logger)
            }
        }
        let replaced = exchanges.filter { kept[$0.key] !== $0.value }
        exchanges = kept
        for exchange in replaced.values { await exchange.retire() }
    }

    func stop() async {
        for exchange in exchanges.values { await exchange.stop() }
    }

    var exchangesInUse: [RADIUSExchange] { exchanges.values.sorted { $0.policy < $1.policy } }
    var conversationCount: Int { conversations.count }

    // MARK: EAP

    /// Gives a client's EAP-Response to its server; each question is answered once.
    func relay(_ question: EAPQuestion, _ login: Login) async -> EAPAnswer {
        if question.isFirst, let failure = begin(question, login) { return failure }
        guard var conversation = conversations[login.id] else { return Self.failure("its EAP conversation is over") }
        let draft: RequestDraft
        do throws(EAPConversation.Fault) {
            draft = try conversation.machine.next(question.message)
        } catch {
            forget(login.id)
            return Self.failure("its EAP-Response is refused: \(error)")
        }
        conversations[login.id] = conversation
        let answer = await conversation.exchange.request(draft)
        // Given up meanwhile: nobody waits for the answer.
        guard var conversation = conversations[login.id] else { return Self.failure("its login was given up") }
        switch answer {
        case .failure(let failure):
            forget(login.id)
            return Self.failure("\(failure)")
        case .success(let reply):
            let verdict = conversation.machine.read(reply)
            conversations[login.id] = conversation
            return judge(verdict, reply, conversation, login)
        }
    }

    private func judge(
        _ verdict: EAPConversation.Verdict, _ reply: RADIUSReply, _ conversation: Conversation, _ login: Login
    ) -> EAPAnswer {
        switch verdict {
        case .challenge(let request): return .request(request)
        case .accepted(let accept, let message, let keys):
            forget(login.id)
            var key: MasterSessionKey?
            if let keys {
                key = MasterSessionKey(keys.masterSessionKey())
                guard key != nil else { return Self.failure("the MS-MPPE keys of RADIUS server \(reply.server) are of no use") }
            }
            accepted[login.id] = Accepted(
                accept: accept, server: reply.server, identity: conversation.identity, acctSessionID: conversation.acctSessionID)
            return .success(message, key: key)
        case .rejected(let message, let text):
            forget(login.id)
            return .failure(message, cause: Self.rejection(reply.server, text), isRejection: true)
        case .invalid(let cause):
            forget(login.id)
            return Self.failure("RADIUS server \(reply.server): \(cause)")
        }
    }

    /// A first EAP-Response; the failure if it cannot be.
    private func begin(_ question: EAPQuestion, _ login: Login) -> EAPAnswer? {
        guard let asked = login.gateway.aaa.authentication, let exchange = exchanges[asked.policy] else {
            return Self.failure("gateway \(login.gateway.name) has no authentication-policy")
        }
        let source = Self.source(login.remote.address)
        guard conversations.count < Self.mostConversations, sources[source, default: 0] < Self.mostOfOneSource else {
            return Self.failure("too many EAP conversations are under way; it may come again")
        }
        let identity = identity(of: login)
        let request: AccessRequest
        do throws(AccessRequestError) {
            request = try AccessRequest(userName: question.identity, password: nil, identity: identity, included: asked.included)
        } catch {
            return Self.failure("no Access-Request can be made for it: \(error)")
        }
        let policy = login.gateway.profile.policy.authentication
        let methods: EAPMethodRule = question.ownProof == .eap ? .mutual : policy.allowsNonKeyingEAP ? .any : .keying
        conversations[login.id] = Conversation(
            machine: EAPConversation(request, methods: methods), exchange: exchange, identity: question.identity,
            acctSessionID: identity.acctSessionID, source: source)
        sources[source, default: 0] += 1
        return nil
    }

    /// The login is over, or has what it needs.
    func forget(_ id: UInt64) {
        guard let conversation = conversations.removeValue(forKey: id) else { return }
        let left = sources[conversation.source, default: 1] - 1
        sources[conversation.source] = left > 0 ? left : nil
    }

    /// The login ended before its session began.
    func abandon(_ id: UInt64) {
        forget(id)
        accepted[id] = nil
    }

    private static func failure(_ cause: String) -> EAPAnswer { .failure(nil, cause: cause, isRejection: false) }

    private static func rejection(_ server: String, _ text: String?) -> String {
        "RADIUS server \(server) rejects it" + (text.map { ": \(EscapedText.shown($0))" } ?? "")
    }

    /// An IPv4 address, or an IPv6 /64: what one sender can have.
    private static func source(_ address: IPAddress) -> String {
        IPPrefix(address, length: address.family == .ipv4 ? 32 : 64)?.description ?? address.description
    }

    // MARK: Authorization

    /// What RADIUS says of a client whose AUTH value was verified: what it said in EAP, or asks it now (psk-radius, cert-radius).
    func authorize(_ question: AddressQuestion, _ login: Login) async -> Outcome {
        if question.proof == .eap {
            guard let accepted = accepted.removeValue(forKey: login.id) else {
                return .refused(AuthorizationRefusal(cause: "no RADIUS server accepted it"), isRejection: false)
            }
            return settle(accepted, login)
        }
        guard let asked = login.gateway.aaa.authentication, let exchange = exchanges[asked.policy] else {
            return .refused(AuthorizationRefusal(cause: "gateway \(login.gateway.name) has no authentication-policy"), isRejection: false)
        }
        let identity = identity(of: login)
        let name = question.peer.userName
        let password = question.proof == .sharedKey ? login.gateway.sharedKey : asked.password
        let request: AccessRequest
        do throws(AccessRequestError) {
            request = try AccessRequest(userName: name, password: password, identity: identity, included: asked.included)
        } catch {
            return .refused(AuthorizationRefusal(cause: "no Access-Request can be made for it: \(error)"), isRejection: false)
        }
        switch await exchange.request(request.draft()) {
        case .failure(let failure): return .refused(AuthorizationRefusal(cause: "\(failure)"), isRejection: false)
        case .success(let reply):
            switch reply.packet.code {
            case .accessAccept:
                do throws(AccessAcceptError) {
                    let accept = try AccessAccept(reply.packet)
                    return settle(Accepted(accept: accept, server: reply.server, identity: name, acctSessionID: identity.acctSessionID), login)
                } catch {
                    return .refused(AuthorizationRefusal(cause: "RADIUS server \(reply.server): \(error)"), isRejection: false)
                }
            case .accessReject:
                return .refused(AuthorizationRefusal(cause: Self.rejection(reply.server, reply.packet.replyMessage)), isRejection: true)
            default:
                return .refused(
                    AuthorizationRefusal(cause: "RADIUS server \(reply.server) answers with \(reply.packet.code) where no EAP is"), isRejection: false
                )
            }
        }
    }

    private func settle(_ accepted: Accepted, _ login: Login) -> Outcome {
        if let text = accepted.accept.replyMessage {
            logger.info("RADIUS server \(accepted.server) says: \(EscapedText.shown(text))", metadata: ["session": "\(login.id)"])
        }
        do throws(AuthorizationRefusal) {
            return .authorized(
                try Authorization(
                    accepted.accept, server: accepted.server,
                    userName: AccountingSubject.userName(accepted: accepted.accept.userName, eapIdentity: accepted.identity, idi: accepted.identity),
                    acctSessionID: accepted.acctSessionID, gateway: login.gateway, remote: login.remote.address))
        } catch {
            return .refused(error, isRejection: false)
        }
    }

    private func identity(of login: Login) -> RequestIdentity {
        let aaa = login.gateway.aaa
        return RequestIdentity(
            acctSessionID: accountingIDs.next(local: login.local.address, remote: login.remote), local: login.local.address, remote: login.remote,
            systemName: aaa.nas.identifier, systemAddress: aaa.nas.address, portID: aaa.portID)
    }
}

/// Acct-Session-Ids of all sessions (features.md RAD-3).
final class AccountingIDs: Sendable {
    private let ids = Mutex(AcctSessionIDs())

    func next(local: IPAddress, remote: Endpoint) -> String {
        ids.withLock { $0.next(local: local, remote: remote, time: UInt64(clamping: WallClock.seconds)) }
    }
}
