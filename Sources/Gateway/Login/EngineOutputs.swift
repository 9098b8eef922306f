import Datapath
import ESP
import FoundationEssentials
import IKE
import IKEMessages
import LinuxIO
import Wire

/// What the machines want done.
extension IKEEngine {
    /// Does what a machine wants done; what can be answered at once is returned.
    func perform(_ output: Output, for entry: Entry) -> Input? {
        switch output {
        case .send(let datagram):
            send(datagram.octets, from: datagram.local, to: datagram.remote)
        case .ask(let question): return answer(question, for: entry)
        case .install(let child): install(child, for: entry)
        case .remove(let childSPI): remove(childSPI, for: entry)
        case .established(let establishment): return establish(establishment, entry)
        case .childEstablished(let child):
            count("child-sas-created")
            environment.log.childEstablished(
                subject(entry), inboundSPI: child.inboundSPI, outboundSPI: child.outboundSPI, algorithms: AlgorithmNames.text(child.suite))
        case .listen(let spi): listen(to: spi, entry)
        case .rekeyed:
            entry.establishedAt = (Date(), MonotonicClock.now)
            count("ike-sas-rekeyed")
            environment.log.rekeyed(subject(entry))
        case .released(let spi): release(spi, of: entry)
        case .moved(let remote):
            entry.remote = remote
            let (id, sessions) = (entry.id, environment.sessions)
            if entry.hasSession { then(entry) { await sessions.moved(id, to: remote) } }
        case .keepalive(let local, let remote):
            environment.datapath.sendKeepalive(from: local, to: remote)
            count("keepalives-sent")
        case .refused(let refusal):
            refused(refusal, entry)
        case .ended(let reason): end(reason, entry)
        case .closed: forget(entry)
        case .dropped(let reason): count("messages-dropped-\(reason.rawValue)")
        }
        return nil
    }

    private func refused(_ refusal: Refusal, _ entry: Entry) {
        count("logins-refused-\(refusal.error.notify.type)")
        environment.log.refused(subject(entry, identity: refusal.identity), name: entry.claimedName, cause: refusal.cause)
        guard refusal.isFailedProof, let policy = entry.gateway.profile.policy.lockout, let identity = refusal.identity else { return }
        let now = MonotonicClock.now
        if environment.lockouts.failed(refusal.remote, identity: identity.body, policy: policy, at: now) { count("lockouts") }
    }

    private func install(_ child: ChildSA, for entry: Entry) {
        let (id, sessions) = (entry.id, environment.sessions)
        guard let keys = entry.sa.takeKeys(inboundSPI: child.inboundSPI) else {
            then(entry) { await self.feed(.installed(child.inboundSPI, false), to: id) }
            return
        }
        let handover = Handover(keys)
        then(entry) {
            let tunnel = await sessions.install(child, keys: handover, session: id)
            await self.installed(child, tunnel, id)
        }
    }

    private func installed(_ child: ChildSA, _ tunnel: TunnelID?, _ id: UInt64) {
        guard let entry = entries[id] else {
            // The SA ended meanwhile, and with its session the tunnel goes; an SPI that was never installed is given back here.
            if tunnel == nil { release(child.inboundSPI) }
            return
        }
        if let tunnel {
            entry.tunnel = tunnel
            // Unless the machine has given it up meanwhile.
            if entry.reserved.remove(child.inboundSPI) != nil { entry.children.append((child, (Date(), MonotonicClock.now))) }
        }
        feed(.installed(child.inboundSPI, tunnel != nil), to: id)
    }

    private func release(_ childSPI: UInt32) {
        if let spi = LocalSPI(rawValue: childSPI) { environment.datapath.release(spi) }
    }

    private func remove(_ childSPI: UInt32, for entry: Entry) {
        entry.children.removeAll { $0.sa.inboundSPI == childSPI }
        let (id, sessions, datapath) = (entry.id, environment.sessions, environment.datapath)
        if entry.reserved.remove(childSPI) != nil {
            // Behind an installation that may be under way: it decides which of the two it is.
            then(entry) {
                if await sessions.owner(of: childSPI) != nil {
                    await sessions.retire(childSPI, session: id)
                } else {
                    if let spi = LocalSPI(rawValue: childSPI) { datapath.release(spi) }
                }
            }
        } else {
            then(entry) { await sessions.retire(childSPI, session: id) }
        }
    }

    /// Returns what a reload has changed since the login began.
    private func establish(_ establishment: Establishment, _ entry: Entry) -> Input? {
        entry.peer = establishment.peer
        entry.establishedAt = (Date(), MonotonicClock.now)
        count("logins-established")
        settle(entry)
        let (id, sessions) = (entry.id, environment.sessions)
        then(entry) { await sessions.established(establishment, session: id) }
        return renew(entry).map { .profile($0) }
    }

    private func end(_ reason: ClosingReason, _ entry: Entry) {
        count("ended-\(reason.rawValue)")
        settle(entry)
        let (id, sessions, aaa) = (entry.id, environment.sessions, environment.aaa)
        if entry.gateway.aaa.authentication != nil { then(entry) { await aaa.abandon(id) } }
        guard entry.hasSession else { return }
        then(entry) { await sessions.end(id, reason) }
    }

    /// No longer half-open: the door stops counting it, and IKE_SA_INIT is not repeated any more.
    private func settle(_ entry: Entry) {
        guard !entry.isSettled else { return }
        entry.isSettled = true
        for spi in entry.spis { tell(.settled(spi, local: entry.local.address)) }
    }

    private func forget(_ entry: Entry) {
        settle(entry)
        entries[entry.id] = nil
        initiations[entry.initiation] = nil
        for spi in entry.spis { release(spi, of: entry) }
    }

    /// The IKE SA has another SPI of ours, until that is released.
    private func listen(to spi: IKESPI, _ entry: Entry) {
        entry.spis.insert(spi)
        owners[spi] = entry.id
        tell(.replaced(spi, local: entry.local.address))
    }

    private func release(_ spi: IKESPI, of entry: Entry) {
        entry.spis.remove(spi)
        owners[spi] = nil
        tell(.closed(spi, local: entry.local.address))
    }
}
