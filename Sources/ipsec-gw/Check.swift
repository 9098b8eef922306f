import ArgumentParser
import Config

/// `ipsec-gw check [F]`: every problem of a file, one a line; exit 1 when one of them is an error.
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Validates a configuration and prints every problem.")

    @Argument(help: "The file.")
    var file = Command.defaultPath

    func run() throws {
        let text = try ConfigurationFile.text(file)
        let (configuration, problems) = Configuration.load(text: text, file: file)
        var all = problems
        if let configuration {
            all += configuration.examineReferences()
        }
        for problem in all.sorted(by: { $0.position < $1.position }) { print(problem) }
        guard configuration != nil, !all.contains(where: { $0.severity == .error }) else { throw ExitCode(1) }
        print("\(file) is valid")
    }
}
