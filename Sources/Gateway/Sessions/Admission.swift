import AddressAssignment
import Datapath
import ESP
import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import ManagementAPI
import RADIUS
import Wire

/// How a session begins: uniqueness and limits first, then its addresses.
extension Sessions {
    /// A client whose AUTH value was verified wants in; `authorization`: where a RADIUS server was asked.
    ///
    /// Six words of arguments at most: Swift 6.3 without optimization loses the stack of an async function that has some of them there.
    func admit(
        _ question: AddressQuestion, sa: SAReference, local: Endpoint, gateway: GatewayRuntime, authorization: Authorization?
    ) async -> AddressAnswer {
        let id = sa.id
        guard !isStopping, sessions.count < Self.most else { return .refused("the gateway takes no more sessions") }
        let gateway = authorization?.gateway ?? gateway
        if authorization != nil, gateway.aaa.accounting != nil, let refusal = await accounting.refusal { return .refused(refusal) }
        let name = authorization.map { EscapedText.shown(String(decoding: $0.userName, as: UTF8.self)) } ?? question.peer.text
        let user = Self.user(question, authorization)
        let body = user + question.peer.body
        // Names of another gateway are another's word: its clients replace nobody here.
        let same = (byUser[user] ?? []).compactMap { sessions[$0] }.filter { $0.gateway.name == gateway.name }.sorted { $0.id < $1.id }
        let doubles = same.filter { $0.identityBody == body }
        if !doubles.isEmpty, gateway.uniqueness == .keep, !question.initialContact {
            return .refused("a session of \(name) stands already, and uniqueness: keep lets no second one in")
        }
        var replaced = gateway.uniqueness == .replace || question.initialContact ? doubles : []
        let staying = same.filter { candidate in !replaced.contains { $0.id == candidate.id } }
        let limit = authorization?.accept.portLimit.map(Int.init) ?? gateway.maximumSessionsPerUser
        if limit > 0, staying.count >= limit {
            switch gateway.sessionLimitAction {
            case .reject: return .refused("\(name) has \(staying.count) sessions, as many as max-sessions-per-user or Port-Limit allows")
            case .replaceOldest: replaced += staying.prefix(staying.count - limit + 1)
            }
        }
        let leaseIdentity =
            authorization != nil && question.proof == .eap
            ? LeaseIdentity.text(eap: question.eapIdentity ?? authorization?.userName ?? []) : LeaseIdentity.text(question.peer)
        let session = Session(
            id: id, name: name, identity: question.peer.text, user: user, identityBody: body, leaseIdentity: leaseIdentity,
            authorization: authorization, gateway: gateway, replayWindow: gateway.template.replayWindow, sa: sa, local: local,
            remote: question.remote, worker: datapath.homeWorker(),
            accountingID: authorization?.acctSessionID ?? accountingIDs.next(local: local.address, remote: question.remote))
        sessions[id] = session
        byUser[user, default: []].insert(id)
        byAccounting[session.accountingID] = id
        log.authenticated(session.subject, name: name, method: question.proof.name)

        let inherited = await replace(replaced, for: session, families: question.wish.families)
        return await assign(question, session: session, inherited: inherited)
    }

    /// Who it is, and how that was proved: whoever has the group's key may say any name, and must not push out the one who has a certificate
    /// for it (threats.md P36). Its length stands before the name, so that none goes over into an IDi.
    private static func user(_ question: AddressQuestion, _ authorization: Authorization?) -> [UInt8] {
        let kind: UInt8 =
            switch question.proof {
            case .sharedKey: 0
            case .certificate: 1
            case .eap: 2
            }
        let name = authorization?.userName ?? question.peer.body
        var user = [kind]
        user.append(bigEndian: UInt32(clamping: name.count))
        return user + name
    }

    /// Ends the sessions that the new one replaces; of each family the newest address of the same IDi is kept for it (features.md X-8).
    private func replace(_ replaced: [Session], for session: Session, families: [AddressFamily]) async -> [AddressFamily: Lease] {
        var inherited: [AddressFamily: Lease] = [:]
        for old in replaced.reversed() {
            for family in families where inherited[family] == nil && old.identityBody == session.identityBody {
                guard let lease = sessions[old.id]?.leases[family], session.fits(lease) else { continue }
                inherited[family] = lease
                sessions[old.id]?.leases[family] = nil
            }
            await close(old.sa, .replaced)
            await end(old.id, .replaced)
        }
        return inherited
    }

    /// An address of each family that is asked for, as far as there are any: one is enough (features.md TS-5).
    private func assign(
        _ question: AddressQuestion, session: Session, inherited: [AddressFamily: Lease]
    ) async -> AddressAnswer {
        var leases: [AddressFamily: Lease] = [:]
        var causes: [String] = []
        for family in question.wish.families {
            switch await lease(family, question, session: session, inherited: inherited[family]) {
            case .success(let lease): leases[family] = lease
            case .failure(let failure):
                if case .refused(.exhausted(let pool)) = failure { log.poolExhausted(session.subject, pool: "\(pool)") }
                causes.append("\(failure)")
            }
        }
        guard !leases.isEmpty else { return .unavailable(causes.joined(separator: "; ")) }
        // The SA may have ended while the leases were on their way to the disk.
        guard sessions[session.id] != nil, sessions[session.id]?.teardown == nil else {
            for lease in leases.values { await addresses.release(lease) }
            return .refused("the login was given up")
        }
        sessions[session.id]?.leases = leases
        return .granted(grant(leases, session))
    }

    private func grant(_ leases: [AddressFamily: Lease], _ session: Session) -> AddressGrant {
        let given = session.authorization
        var netmask = leases[.ipv4]?.subnet.netmask
        if let length = given?.accept.framedIPNetmask, let address = leases[.ipv4]?.address {
            netmask = IPPrefix(address, length: length)?.netmask ?? netmask
        }
        return AddressGrant(
            ipv4: leases[.ipv4]?.address, ipv4Netmask: netmask, ipv6: leases[.ipv6]?.address,
            dns: given?.dns ?? (leases[.ipv4]?.dns ?? []) + (leases[.ipv6]?.dns ?? []), terms: given?.terms)
    }

    private func lease(
        _ family: AddressFamily, _ question: AddressQuestion, session: Session, inherited: Lease?
    ) async -> Result<Lease, AddressFailure> {
        let id = LeaseSession(session.id)
        if let inherited, let taken = await addresses.takeOver(inherited, by: id) { return .success(taken) }
        var request = LeaseRequest(
            identity: session.leaseIdentity, wanted: question.wish.preferred(family), family: family, session: id)
        switch session.authorization?.addresses[family] {
        case .exact(let address):
            request.wanted = address
            return await given(request, session: session)
        case .within(let prefix):
            request.wanted = nil
            request.within = prefix
            return await given(request, session: session)
        case .pool(let pool):
            if session.authorization?.accept.framedIPAddress == .choose { request.wanted = nil }
            return await addresses.acquire(
                pool: pool, identity: request.identity, wanted: request.wanted, family: family, session: id)
        case nil:
            guard let pool = session.gateway.pools[family] else {
                return .failure(.noAddresses(gateway: session.gateway.name, family, asksRADIUS: session.authorization != nil))
            }
            return await addresses.acquire(
                pool: pool, identity: request.identity, wanted: request.wanted, family: family, session: id)
        }
    }

    /// An address that a RADIUS server gave. Where an older session of the same name and IDi has it, the new one takes it over, whatever
    /// `uniqueness` says: an address has one owner (features.md X-8).
    private func given(_ request: LeaseRequest, session: Session) async -> Result<Lease, AddressFailure> {
        let answer = await addresses.acquire(given: session.gateway, request)
        guard case .failure(.refused(.inUse(let address, by: let owner))) = answer, let old = sessions[owner.rawValue],
            old.identityBody == session.identityBody, let lease = old.leases[request.family], lease.address == address
        else { return answer }
        sessions[old.id]?.leases[request.family] = nil
        await close(old.sa, .replaced)
        await end(old.id, .replaced)
        if let taken = await addresses.takeOver(lease, by: request.session) { return .success(taken) }
        return answer
    }
}

extension Session {
    /// A lease of its predecessor is what it would be given itself.
    fileprivate func fits(_ lease: Lease) -> Bool {
        switch authorization?.addresses[lease.address.family] {
        case .exact(let address): lease.address == address && lease.pool == gateway.givenName
        case .within(let prefix): prefix.contains(lease.address) && lease.pool == gateway.givenName
        case .pool(let pool): lease.pool == pool
        case nil: lease.pool == gateway.pools[lease.address.family]
        }
    }
}

extension ProofKind {
    /// As the configuration and the log name it.
    fileprivate var name: String {
        switch self {
        case .sharedKey: "psk"
        case .certificate: "cert"
        case .eap: "eap"
        }
    }
}
