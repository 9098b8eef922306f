import Datapath
import ESP
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import ManagementAPI
import Wire

/// What the machines ask.
extension IKEEngine {
    func answer(_ question: Question, for entry: Entry) -> Input? {
        switch question {
        case .peer(let question):
            return ask(question, entry)
        case .signature(let question):
            guard let signer = entry.signer, signer.scheme == question.scheme else { return .signature(nil) }
            let (id, threads) = (entry.id, environment.certificateThreads)
            then(entry) { await self.sign(question, signer, threads, id) }
            return nil
        case .eap(let question):
            if question.isFirst { entry.claimedName = EscapedText.shown(String(decoding: question.identity, as: UTF8.self)) }
            let login = login(entry)
            then(entry) { await self.relay(question, login) }
            return nil
        case .address(let question):
            entry.hasSession = true
            let id = entry.id
            then(entry) { await self.admit(question, id) }
            return nil
        case .childSPI(let purpose):
            guard let worker = home(of: entry, purpose), let allocated = environment.datapath.allocateSPI(worker: worker) else {
                return .childSPI(nil)
            }
            entry.reserved.insert(allocated.rawValue)
            return .childSPI(allocated.rawValue)
        case .ikeSPI: return .ikeSPI(newSPI())
        case .activity:
            return .activity(entry.tunnel.flatMap { environment.datapath.counters(tunnel: $0)?.lastInbound })
        }
    }

    /// The worker of its next Child SA: the session's, or another one when it leaves a hot one or serves another resource. Nil: there is none.
    private func home(of entry: Entry, _ purpose: ChildPurpose) -> Int? {
        guard let tunnel = entry.tunnel else { return entry.worker }
        let datapath = environment.datapath
        switch purpose {
        case .further: return datapath.worker(of: tunnel) ?? entry.worker
        case .resource: return datapath.workerForResource(of: tunnel)
        case .replacing(let old):
            return LocalSPI(rawValue: old).flatMap { datapath.worker(of: tunnel, replacing: $0, at: MonotonicClock.now) } ?? entry.worker
        }
    }

    /// What proves who the client is. A certificate's path is validated elsewhere; everything else is known at once.
    private func ask(_ question: PeerQuestion, _ entry: Entry) -> Input? {
        if entry.gateway.profile.policy.lockout != nil,
            environment.lockouts.isLocked(question.remote, identity: question.identity.body, at: MonotonicClock.now)
        {
            count("logins-locked-out")
            return .peer(.refused("it failed to prove itself too often and is locked out for a while (lockout of the ike-policy)"))
        }
        guard case .success(let branch) = LoginCredentials.branch(entry.gateway, question.method), branch.peer == .certificate else {
            let answer = LoginCredentials.answer(question, entry.gateway, at: .now)
            entry.signer = answer.signer
            return .peer(answer.answer)
        }
        let (id, threads, gateway) = (entry.id, environment.certificateThreads, entry.gateway)
        then(entry) { await self.validate(question, gateway, threads, id) }
        return nil
    }

    private func validate(_ question: PeerQuestion, _ gateway: GatewayRuntime, _ threads: CertificateThreads, _ id: UInt64) async {
        let answer = await threads.run { LoginCredentials.answer(question, gateway, at: .now) }
        if answer == nil { count("certificate-threads-full") }
        entries[id]?.signer = answer?.signer
        feed(.peer(answer?.answer ?? .refused("too many certificates wait to be validated; it may come again")), to: id)
    }

    private func sign(_ question: SignatureQuestion, _ signer: GatewayCertificates.Signer, _ threads: CertificateThreads, _ id: UInt64) async {
        let signature = await threads.run { try? signer.key.sign(question.octets, by: question.scheme) }
        feed(.signature(signature ?? nil), to: id)
    }

    private func login(_ entry: Entry) -> AAA.Login {
        AAA.Login(id: entry.id, gateway: entry.gateway, local: entry.local, remote: entry.remote)
    }

    /// Gives an EAP-Response to RADIUS, and what RADIUS says back to the machine, once.
    private func relay(_ question: EAPQuestion, _ login: AAA.Login) async {
        let answer = await environment.aaa.relay(question, login)
        if case .failure = answer { count("eap-failures") }
        guard entries[login.id] != nil else { return await environment.aaa.abandon(login.id) }
        feed(.eap(answer), to: login.id)
    }

    private func admit(_ question: AddressQuestion, _ id: UInt64) async {
        guard let entry = entries[id] else { return await environment.aaa.abandon(id) }
        var authorization: Authorization?
        if question.proof == .eap || entry.gateway.authorizesByRADIUS {
            switch await environment.aaa.authorize(question, login(entry)) {
            case .authorized(let found): authorization = found
            case .refused(let refusal, let isRejection):
                if isRejection { rejected(question, entry) }
                return feed(.address(refusal.isAboutAddress ? .unavailable(refusal.cause) : .refused(refusal.cause)), to: id)
            }
        }
        let answer = await environment.sessions.admit(
            question, sa: SAReference(shard: shard, id: id), local: entry.local, gateway: entry.gateway, authorization: authorization)
        addressed(answer, worker: await environment.sessions.worker(of: id) ?? 0, to: id)
    }

    /// RADIUS said no to who proved itself by PSK or certificate (features.md X-12).
    private func rejected(_ question: AddressQuestion, _ entry: Entry) {
        guard let policy = entry.gateway.profile.policy.lockout else { return }
        if environment.lockouts.failed(question.remote, identity: question.peer.body, policy: policy, at: MonotonicClock.now) { count("lockouts") }
    }

    private func addressed(_ answer: AddressAnswer, worker: Int, to id: UInt64) {
        entries[id]?.worker = worker
        feed(.address(answer), to: id)
    }
}
