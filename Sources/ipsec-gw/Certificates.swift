import ArgumentParser
import Gateway
import GatewayCrypto

/// `ipsec-gw pki`: a CA of one's own, for `make run` and small sites.
struct Certificates: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pki", abstract: "A private CA: the gateway's certificate, and bundles for clients.",
        subcommands: [Create.self, Server.self, Client.self])

    /// What the subcommands have in common.
    struct Place: ParsableArguments {
        @Option(help: "Where the CA is.")
        var directory = IssuingDirectory.standard

        @Option(help: "How many days the certificate is good for; at most 824, for Apple's devices.")
        var days = 824

        /// Before the first use of the library: what it frees is wiped from here on (threats.md P28).
        func open() throws -> IssuingDirectory {
            guard CryptoLibrary.wipeFreedMemory() else {
                throw CleanFailure("ipsec-gw: the cryptographic library was used before it could be told to wipe")
            }
            guard directory.hasPrefix("/"), directory != "/" else {
                throw ValidationError("--directory \(directory): give an absolute path, such as \(IssuingDirectory.standard)")
            }
            return IssuingDirectory(directory.hasSuffix("/") ? String(directory.dropLast()) : directory)
        }
    }

    /// Runs what issues, and says plainly why it did not.
    static func issuing<Result>(_ body: () throws(IssuingFailure) -> Result) throws -> Result {
        do throws(IssuingFailure) {
            return try body()
        } catch {
            throw CleanFailure("ipsec-gw: \(error)")
        }
    }

    /// `ipsec-gw pki init`.
    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "init", abstract: "Makes the CA and the gateway's certificate.")

        @OptionGroup var place: Place

        @Option(
            name: .customLong("name"), help: "An address or a host name that clients type; the first is what bundles use. Default: this machine's.")
        var names: [String] = []

        func run() throws {
            let directory = try place.open()
            let made = try issuing { () throws(IssuingFailure) in
                try directory.create(names: names.isEmpty ? try IssuingDirectory.namesOfThisMachine() : names, days: place.days)
            }
            print("made a CA and a certificate for \(made.names.joined(separator: ", ")) in \(made.path); it ends at \(made.end)")
            print("keep \(made.path)/ca.key to yourself: whoever has it can make clients")
        }
    }

    /// `ipsec-gw pki server`.
    struct Server: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "server", abstract: "Renews the gateway's certificate, with the names it has or others.")

        @OptionGroup var place: Place

        @Option(name: .customLong("name"), help: "An address or a host name that clients type; the first is what bundles use. Default: as before.")
        var names: [String] = []

        func run() throws {
            let directory = try place.open()
            let made = try issuing { () throws(IssuingFailure) in try directory.renewServer(names: names, days: place.days) }
            print("made a certificate for \(made.names.joined(separator: ", ")) in \(made.path); it ends at \(made.end)")
            print("a running gateway takes it up with: ipsec-gwctl reload")
        }
    }

    /// `ipsec-gw pki client NAME`.
    struct Client: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "client", abstract: "Makes a certificate for a client, with what its device needs to connect.")

        @Argument(help: "What the client is called: laptop, alice@example.com.")
        var name: String

        @OptionGroup var place: Place

        @Option(help: "The folder to make. Default: clients/NAME in the CA's directory.")
        var out: String?

        func run() throws {
            let directory = try place.open()
            let bundle = try issuing { () throws(IssuingFailure) in try directory.createClient(name, folder: out, days: place.days) }
            print(
                """
                made a bundle for \(name) in \(bundle.made.path); its certificate ends at \(bundle.made.end)
                password of \(name).p12 and \(name).mobileconfig, shown this once: \(bundle.password)
                it connects to \(bundle.gateway):
                  strongSwan      copy swanctl/ to the client; there as root: cp -r swanctl /etc/ && swanctl --load-all && swanctl --initiate --child net
                  iOS, macOS      send \(name).mobileconfig to the device, open it, install it in Settings
                  Windows 10, 11  copy \(name).ps1, \(name).p12 and ipsec-gw-ca.cer; as administrator: powershell -ExecutionPolicy Bypass -File .\\\(name).ps1
                whoever has the folder can connect as \(name): carry it safely, and delete it here when the device has it
                """)
        }
    }
}
