import Datapath
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import Synchronization
import Wire

/// New IKE SAs.
extension IKEEngine {
    func initiate(_ datagram: IKEDatagram, hasCookie: Bool, lifetime: Duration, at now: Instant) {
        // Cookies were switched on while this waited: the client will come again with one, and its AUTH covers that message alone (threats.md P2).
        guard hasCookie || !environment.door.cookiesRequired.load(ordering: .acquiring) else {
            count("initiations-overtaken-by-cookies")
            tell(.turnedAway(datagram))
            return
        }
        let key = InitiationKey(digest: Digest.sha256(datagram.octets), remote: datagram.remote)
        if let id = initiations[key] {
            tell(.turnedAway(datagram))
            count("initiations-repeated")
            if let response = entries[id]?.sa.initResponse {
                send(response, from: datagram.local, to: datagram.remote)
            }
            return
        }
        guard let gateway = gateways[datagram.local.address], let spi = newSPI() else {
            tell(.turnedAway(datagram))
            return
        }
        let result = Initiation.answer(
            datagram, profile: gateway.profile, responderSPI: spi, halfOpenLifetime: lifetime, budget: environment.reassembly,
            entropy: environment.entropy, at: now)
        switch consume result {
        case .dropped(let reason):
            count("init-dropped-\(reason.rawValue)")
            tell(.turnedAway(datagram))
        case .refused(let reply, let error):
            refuse(datagram, reply, error, gateway)
        case .accepted(let sa, let response):
            let entry = Entry(sa: sa, id: environment.numbers.next(), gateway: gateway, datagram: datagram, initiation: key)
            entries[entry.id] = entry
            owners[spi] = entry.id
            entry.spis = [spi]
            initiations[key] = entry.id
            count("initiations-accepted")
            // The door must know the SPI before the client can use it.
            tell(.opened(spi, datagram))
            send(response.octets, from: response.local, to: response.remote)
            environment.log.loginStarted(subject(entry), algorithms: AlgorithmNames.text(entry.sa.proposal))
            arm(entry, at: now)
        }
    }

    private func refuse(_ datagram: IKEDatagram, _ reply: IKEDatagram, _ error: ExchangeError, _ gateway: GatewayRuntime) {
        tell(.turnedAway(datagram))
        // A wrong first guess at the group is always told: a limit on it would let an attacker starve clients (threats.md C10).
        if case .invalidKeyExchange = error {
        } else if !errors.admits(datagram.remote.address, at: MonotonicClock.now) {
            count("init-refusals-suppressed")
            return
        }
        send(reply.octets, from: reply.local, to: reply.remote)
        count("init-refused-\(error.notify.type)")
        guard case .noProposalChosen = error else { return }
        environment.log.refused(
            EventLog.Subject(session: "-", gateway: gateway.name, remote: datagram.remote),
            cause: "no IKE proposal of the client is allowed by ike-policy \(gateway.profile.policy.id)")
    }

    /// A responder SPI that is not zero, not in use, and names this shard.
    func newSPI() -> IKESPI? {
        for _ in 0..<8 {
            let random = environment.entropy.octets(8).reduce(IKESPI(0)) { $0 << 8 | IKESPI($1) }
            let spi = random & ~0xf | IKESPI(shard)
            if spi > 0xf, owners[spi] == nil { return spi }
        }
        return nil
    }
}
