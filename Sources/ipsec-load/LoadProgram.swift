import ArgumentParser

/// `ipsec-load`: plays road warriors against a gateway of one's own.
@main
struct LoadProgram: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ipsec-load",
        abstract: "Plays IKEv2 road warriors against a gateway of your own.",
        subcommands: [Connect.self, Setup.self, Hold.self, Traffic.self, Reflect.self, Flood.self])

    static func main() async {
        await main(
            Arguments.ordered(
                Array(CommandLine.arguments.dropFirst()), commands: ["connect", "setup", "hold", "traffic", "reflect", "flood", "help"]))
    }
}

/// Flags may stand before the subcommand: it is moved to the front.
enum Arguments {
    /// Options that take no value.
    private static let flags: Set<String> = [
        "--json", "--progress", "--reconnect", "--yes-this-is-my-gateway", "--native-esp", "--pss", "--no-rfc7427", "--eap-only", "--initial-contact",
        "--help", "-h",
        "--version",
    ]

    static func ordered(_ arguments: [String], commands: Set<String>) -> [String] {
        var index = 0
        while index < arguments.count {
            let word = arguments[index]
            if !word.hasPrefix("-") {
                guard commands.contains(word) else { return arguments }
                return [word] + arguments[..<index] + arguments[(index + 1)...]
            }
            index += 1
            if flags.contains(word) || word.contains("=") { continue }
            // `--tun` may stand alone and `--route` may have several values; every other option has one.
            switch word {
            case "--tun" where index < arguments.count && commands.contains(arguments[index]): continue
            case "--route":
                while index < arguments.count, !arguments[index].hasPrefix("-"), !commands.contains(arguments[index]) {
                    index += 1
                }
            default:
                if index < arguments.count, word != "--tun" || !arguments[index].hasPrefix("-") { index += 1 }
            }
        }
        return arguments
    }
}
