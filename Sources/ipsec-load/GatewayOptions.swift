import ArgumentParser
import GatewayCrypto
import IKEMessages
import RoadWarrior
import Wire

/// What every subcommand asks about the gateway and the client.
struct GatewayOptions: ParsableArguments {
    @Option(help: "Address of the gateway.")
    var gateway: String

    @Option(help: "Preshared key.")
    var psk: String

    @Option(
        name: .customLong("id"), help: "Our identity: address, user@name, host.name, or a key id. With several clients `%n` is the client's number.")
    var identity: String

    @Option(name: .customLong("remote-id"), help: "Identity that the gateway must have; without it any that knows the key.")
    var remoteIdentity: String?

    @Option(help: "IKE proposals, such as aes256-sha256-x25519,aes128gcm16-prfsha256-ecp256.")
    var ike: String?

    @Option(help: "ESP proposals, such as aes256gcm16-esn,aes128-sha256.")
    var esp: String?

    @Option(help: "The gateway's IKE port.")
    var port: UInt16 = 500

    @Option(name: .customLong("nat-port"), help: "The gateway's port for IKE and ESP in UDP.")
    var natPort: UInt16 = 4500

    @Flag(
        name: .customLong("yes-this-is-my-gateway"), help: "Go on although the target is not loopback and this is the host's own network namespace.")
    var confirmed = false

    /// The options as the client needs them.
    struct Target {
        let remote: Endpoint
        let natPort: UInt16
        let presharedKey: Secret<[UInt8]>
        let identity: String
        let remoteIdentity: IdentificationPayload?
        let ikeProposals: [Proposal]
        let espProposals: [Proposal]

        /// Settings of the client with this number, whose one socket is bound to `local`. ESP goes in UDP always: the client claims a NAT.
        func settings(client number: Int, local: Endpoint) -> RoadWarrior.Settings {
            let name = identity.replacing("%n", with: String(number))
            var settings = RoadWarrior.Settings(
                presharedKey: presharedKey, identity: IdentificationPayload(form: name), remoteIdentity: remoteIdentity,
                local: local, remote: remote)
            settings.localNATPort = local.port
            settings.remoteNATPort = natPort
            settings.natClaim = .behindNAT
            settings.ikeProposals = ikeProposals
            settings.espProposals = espProposals
            return settings
        }
    }

    /// Reads the values; throws a `ValidationError` that names what is wrong.
    func target() throws -> Target {
        guard let address = IPAddress(gateway) else {
            throw ValidationError("--gateway: \"\(gateway)\" is not an IP address")
        }
        guard port != natPort else { throw ValidationError("--port and --nat-port must differ") }
        guard !psk.isEmpty else { throw ValidationError("--psk is empty") }
        do {
            return Target(
                remote: Endpoint(address, port: port), natPort: natPort, presharedKey: Secret([UInt8](psk.utf8)),
                identity: identity, remoteIdentity: remoteIdentity.map { IdentificationPayload(form: $0) },
                ikeProposals: try ike.map { text throws(ProposalText.Fault) in try ProposalText.ike(text) } ?? ProposalText.ikeDefault,
                espProposals: try esp.map { text throws(ProposalText.Fault) in try ProposalText.esp(text) } ?? ProposalText.espDefault)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
