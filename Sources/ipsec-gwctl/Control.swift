internal import ArgumentParser
internal import ManagementAPI

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#endif

/// The operator's program: asks the daemon over its control socket and prints the answer.
@main
struct Control: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ipsec-gwctl",
        abstract: "Look at and steer the running ipsec-gw daemon.",
        discussion: """
            Every command takes --socket PATH (default: $IPSEC_GW_SOCKET, else \(ManagementClient.defaultSocket)) and --json, \
            before or after the command's name.
            Exit status: 0; 1 refused or not found; 2 daemon unreachable; 64 wrong usage.
            """,
        subcommands: [
            Status.self, Gateways.self, Sessions.self, SecurityAssociations.self, Counters.self, Pools.self, RADIUSServers.self, Clear.self,
            Reload.self, SetLogLevel.self,
        ]
    )

    /// Parses by hand in between, because flags may stand before the subcommand.
    static func main() async {
        let arguments = GlobalFlags.movedToEnd(Array(CommandLine.arguments.dropFirst()))
        guard !arguments.isEmpty else {
            Output.complain(helpMessage())
            Output.leave(.validationFailure)
        }
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            exit(withError: error)
        }
    }

    /// Flags alone name no command.
    func run() throws {
        throw ValidationError("Missing command. Try 'ipsec-gwctl --help'.")
    }
}

/// What every command takes.
struct GlobalFlags: ParsableArguments {
    @Option(help: ArgumentHelp("The daemon's control socket.", valueName: "path"))
    var socket: String?

    @Flag(help: "Print JSON: the same data, stable keys.")
    var json = false

    /// The client for the socket that the flags, the environment or the default name.
    var client: ManagementClient {
        ManagementClient(socketPath: socket ?? Environment.socket ?? ManagementClient.defaultSocket)
    }

    /// The same arguments with `--socket` and `--json` last, where the subcommand's parser sees them; what follows `--` stays.
    static func movedToEnd(_ arguments: [String]) -> [String] {
        var others: [String] = []
        var flags: [String] = []
        var index = 0
        while index < arguments.count, arguments[index] != "--" {
            let argument = arguments[index]
            index += 1
            if argument == "--json" || argument.hasPrefix("--socket=") {
                flags.append(argument)
            } else if argument == "--socket" {
                flags.append(argument)
                if index < arguments.count {
                    flags.append(arguments[index])
                    index += 1
                }
            } else {
                others.append(argument)
            }
        }
        return others + flags + arguments[index...]
    }
}

/// What the environment sets.
enum Environment {
    /// `$IPSEC_GW_SOCKET`, unless empty.
    static var socket: String? {
        guard let value = unsafe getenv("IPSEC_GW_SOCKET") else { return nil }
        let text = unsafe String(cString: value)
        return text.isEmpty ? nil : text
    }
}
