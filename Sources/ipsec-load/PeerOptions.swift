import ArgumentParser
import IKEMessages
import RoadWarrior
import Wire

/// Whom a subcommand speaks IKE to, and what it proposes first.
struct PeerOptions: ParsableArguments {
    @Option(help: "Address of the gateway.")
    var gateway: String

    @Option(help: "IKE proposals, such as aes256-sha256-x25519,aes128gcm16-prfsha256-ecp256.")
    var ike: String?

    @Option(help: "The gateway's IKE port.")
    var port: UInt16 = 500

    @Option(name: .customLong("nat-port"), help: "The gateway's port for IKE and ESP in UDP.")
    var natPort: UInt16 = 4500

    @Flag(
        name: .customLong("yes-this-is-my-gateway"), help: "Go on although the target is not loopback and this is the host's own network namespace.")
    var confirmed = false

    /// Where IKE begins; throws a `ValidationError`.
    func endpoint() throws -> Endpoint {
        guard let address = IPAddress(gateway) else { throw ValidationError("--gateway: \"\(gateway)\" is not an IP address") }
        guard port != natPort else { throw ValidationError("--port and --nat-port must differ") }
        return Endpoint(address, port: port)
    }

    /// Throws a `ValidationError`.
    func proposals() throws -> [Proposal] {
        guard let ike else { return ProposalText.ikeDefault }
        do {
            return try ProposalText.ike(ike)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
