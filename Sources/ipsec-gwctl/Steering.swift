internal import ArgumentParser
internal import ManagementAPI

struct Clear: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "End sessions.", subcommands: [ClearSession.self])

    func run() async throws {
        throw ValidationError("Say what to clear: 'ipsec-gwctl clear session ID|NAME|ADDRESS'.")
    }
}

struct ClearSession: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session", abstract: "End every session that matches; returns once the Deletes are sent.")
    @OptionGroup var flags: GlobalFlags

    @Argument(help: ArgumentHelp("A session's id, name, identity, or inner or outer address.", valueName: "id|name|address"))
    var match: SessionSelector

    func run() async throws {
        let match = match
        let cleared = try await flags.ask { client throws(ManagementError) in try await client.clear(match) }
        try flags.show(ClearAnswer(cleared: cleared)) { ["cleared \(cleared)"] }
        guard cleared > 0 else {
            Output.complain(
                "ipsec-gwctl: no session has the id, name or address \(EscapedText.shown(match.text)). 'ipsec-gwctl sessions' lists all")
            throw ExitCode.refused
        }
    }
}

struct Reload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read the configuration again; a broken file changes nothing.")
    @OptionGroup var flags: GlobalFlags

    func run() async throws {
        let answer = try await flags.ask { client throws(ManagementError) in try await client.reload() }
        try flags.show(answer) {
            answer.problems.map { EscapedText.shown($0.description, limit: 1024) }
                + answer.needRestart.map { "\(EscapedText.shown($0)): takes effect after a restart" }
                + (answer.applied ? ["reloaded"] : [])
        }
        guard answer.applied else {
            Output.complain("ipsec-gwctl: the new configuration is refused, nothing has changed. Mend the errors and reload again")
            throw ExitCode.refused
        }
    }
}

struct SetLogLevel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level", abstract: "Change how much is logged, until the next start.")
    @OptionGroup var flags: GlobalFlags

    @Argument(help: "trace, debug, info, notice, warning or error.")
    var level: LogLevel

    func run() async throws {
        let level = level
        try await flags.ask { client throws(ManagementError) in try await client.setLogLevel(level) }
        try flags.show(LogLevelSetting(level: level)) { ["log level \(level.rawValue)"] }
    }
}

extension LogLevel: ExpressibleByArgument {}
