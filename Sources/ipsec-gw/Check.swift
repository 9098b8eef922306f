import ArgumentParser
import Config
import Gateway

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
            let missing = configuration.examineReferences()
            all += missing
            // A file that is not there has its warning already; those that are there must be what they should be.
            let certificates = CertificateInventory(configuration)
            all += certificates.problems.filter { problem in !missing.contains { $0.position == problem.position } } + certificates.ending
        }
        for problem in all.sorted(by: { $0.position < $1.position }) { print(problem) }
        guard configuration != nil, !all.contains(where: { $0.severity == .error }) else { throw ExitCode(1) }
        print("\(file) is valid")
    }
}
