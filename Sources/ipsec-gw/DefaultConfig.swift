import ArgumentParser
import Config
import Foundation
import GatewayCrypto

/// `ipsec-gw default-config`: a first configuration with a random pre-shared key, as `make run` writes it.
struct DefaultConfig: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "default-config", abstract: "Prints a first configuration with a random pre-shared key.")

    func run() throws {
        // 24 octets: 192 bits, well above what a client can be made to guess.
        let key = Data(SystemEntropy().octets(24)).base64EncodedString()
        guard let text = DefaultConfiguration.text(psk: key) else { throw ValidationError("no default configuration could be made") }
        print(text, terminator: text.hasSuffix("\n") ? "" : "\n")
    }
}
