import GatewayCrypto
import IKEMessages
import Wire

/// What NAT detection found, RFC 7296 section 2.23; the true state, whatever `nat-traversal: force` pretends (features.md X-9).
package struct NATState: Hashable, Sendable {
    /// Both sides sent the notifies, so UDP encapsulation is possible.
    package var supported: Bool
    /// The peer's address was changed on the way to us.
    package var peerBehindNAT: Bool
    /// Our address was changed on the way to the peer.
    package var weBehindNAT: Bool

    /// Whether ESP must go inside UDP: a NAT is on the way (RFC 7296 section 2.23), or the policy wants it of everyone (features.md X-9).
    func needsEncapsulation(_ policy: IKEPolicy) -> Bool {
        policy.natTraversal.force || peerBehindNAT || weBehindNAT
    }
}

enum NATDetection {
    /// SHA-1 over SPIi, SPIr, address and port.
    static func hash(initiatorSPI: IKESPI, responderSPI: IKESPI, endpoint: Endpoint) -> [UInt8] {
        var octets: [UInt8] = []
        octets.append(bigEndian: initiatorSPI)
        octets.append(bigEndian: responderSPI)
        octets += endpoint.address.octets
        octets.append(bigEndian: endpoint.port)
        return Digest.sha1(octets)
    }

    /// Reads the peer's notifies of the IKE_SA_INIT request; the responder's SPI is still zero there.
    static func detect(_ notifies: Notifies, initiatorSPI: IKESPI, from remote: Endpoint, to local: Endpoint) -> NATState {
        let sources = notifies.all(.natDetectionSourceIP)
        let destinations = notifies.all(.natDetectionDestinationIP)
        guard !sources.isEmpty, !destinations.isEmpty else {
            return NATState(supported: false, peerBehindNAT: false, weBehindNAT: false)
        }
        let seen = hash(initiatorSPI: initiatorSPI, responderSPI: 0, endpoint: remote)
        let ours = hash(initiatorSPI: initiatorSPI, responderSPI: 0, endpoint: local)
        return NATState(
            supported: true,
            peerBehindNAT: !sources.contains { $0.data == seen },
            weBehindNAT: !destinations.contains { $0.data == ours })
    }

    /// Our two notifies. With `force` the source is a hash of nothing real, so that every client encapsulates in UDP and none believes itself behind a NAT.
    static func notifies(
        initiatorSPI: IKESPI, responderSPI: IKESPI, from local: Endpoint, to remote: Endpoint, force: Bool, entropy: any Entropy
    ) -> [NotifyPayload] {
        let source =
            force
            ? Digest.sha1(entropy.octets(20))
            : hash(initiatorSPI: initiatorSPI, responderSPI: responderSPI, endpoint: local)
        return [
            NotifyPayload(.natDetectionSourceIP, data: source),
            NotifyPayload(
                .natDetectionDestinationIP, data: hash(initiatorSPI: initiatorSPI, responderSPI: responderSPI, endpoint: remote)),
        ]
    }
}
