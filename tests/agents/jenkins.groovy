// Runs ci/jenkins/vars/batchstep.groovy and the pipelines of docs/ci/jenkins.md with imitations of Jenkins' steps.
// Arguments: the tree, a directory to work in, the binary, the base URL of a sandbox whose batches take a few seconds,
// and of one whose batches take an hour.
import java.util.concurrent.TimeUnit
import org.codehaus.groovy.control.CompilerConfiguration

tree = args[0]
work = new File(args[1])
binary = args[2]
quick = args[3]
slow = args[4]
passed = 0

/** What Jenkins throws out of a step when the build is aborted. */
class Aborted extends RuntimeException {}

/** What the step `error` throws. */
class Ended extends RuntimeException {
    Ended(String message) { super(message) }
}

/** One build: a workspace, its variables, and what its steps did. */
class Build {
    File workspace
    Map<String, String> variables = [:]
    Map<String, String> secrets = ['openai-api-key': 'sk-secret', 'gateway-headers': 'X-Team: blue']
    Closure<Boolean> abortWhen = null
    List<String> scripts = []
    List<Map> junits = []
    List<Map> archives = []
    List<String> echoes = []
    List<Map> sleeps = []
    List<String> nodes = []
    Map description = [:]
    String log = ''

    int run(Map step) {
        scripts << step.script
        File file = File.createTempFile('script', '.sh', workspace.parentFile)
        file.text = step.script
        def builder = new ProcessBuilder('sh', '-xe', file.path)
        // Jenkins runs a script that begins with `#!` itself.
        if (step.script.startsWith('#!')) {
            file.executable = true
            builder = new ProcessBuilder(file.path)
        }
        builder.directory(workspace).redirectErrorStream(true).environment().putAll(
            [JENKINS_URL: 'http://ci.example/', JOB_NAME: 'a', BUILD_ID: '7', BUILD_NUMBER: '7', WORKSPACE: workspace.path] + variables)
        def process = builder.start()
        def reader = Thread.start { process.inputStream.eachLine { log += it + '\n' } }
        if (abortWhen) {
            while (!abortWhen(this)) {
                Thread.sleep(50)
            }
            // SIGTERM; after 5 seconds Jenkins sends SIGKILL. `destroy` would also close the log.
            ['kill', '-TERM', process.pid().toString()].execute().waitFor()
            if (!process.waitFor(5, TimeUnit.SECONDS)) {
                process.destroyForcibly()
                throw new IllegalStateException("it outlived SIGTERM by 5 s:\n$log")
            }
            reader.join()
            throw new Aborted()
        }
        int status = process.waitFor()
        reader.join()
        assert step.returnStatus
        return status
    }

    /** The steps, as variables of a script. */
    Map steps() {
        [
            sh: this.&run,
            error: { String message -> throw new Ended(message) },
            echo: { echoes << it.toString() },
            sleep: { Map time -> sleeps << time; Thread.sleep(1500) },
            node: { Closure body -> nodes << 'node'; body() },
            string: { Map it -> it },
            withCredentials: { List bindings, Closure body ->
                bindings.each {
                    assert secrets[it.credentialsId] : "there is no credential ${it.credentialsId}"
                    variables[it.variable] = secrets[it.credentialsId]
                }
                try {
                    body()
                } finally {
                    bindings.each { variables.remove(it.variable) }
                }
            },
            fileExists: { String path -> new File(workspace, path).exists() },
            readFile: { String path -> new File(workspace, path).text },
            junit: { Map it -> junits << it },
            archiveArtifacts: { Map it -> archives << it },
            currentBuild: description,
            env: [:],
            library: { Map it -> assert it.identifier ==~ /batchstep@v\d+\.\d+\.\d+/ },
            modernSCM: { Map it -> assert new File(it.tree ?: '.', it.libraryPath) && it.libraryPath == 'ci/jenkins/' },
        ]
    }
}

def shell() {
    def loader = new GroovyClassLoader(this.class.classLoader)
    loader.parseClass('''package com.cloudbees.groovy.cps
        import java.lang.annotation.*
        @Retention(RetentionPolicy.RUNTIME) @Target(ElementType.METHOD) @interface NonCPS {}''')
    [loader, new CompilerConfiguration()]
}

/** The library's script, with a build's steps. */
def library(Build build) {
    def (loader, configuration) = shell()
    new GroovyShell(loader, new Binding(build.steps()), configuration).parse(new File(tree, 'ci/jenkins/vars/batchstep.groovy'))
}

Build newBuild(Map settings = [:]) {
    def workspace = java.nio.file.Files.createTempDirectory(work.toPath(), 'workspace').toFile()
    new File(workspace, 'requests.jsonl').text = new File(tree, 'examples/requests.jsonl').text
    new Build([workspace: workspace] + settings)
}

Map connected(Map inputs, String url = quick) {
    [binary: binary, provider: 'compatible', baseUrl: url, pollInterval: '100ms', credentialsId: 'openai-api-key'] + inputs
}

void proves(String what, Closure body) {
    body()
    passed += 1
    println "jenkins: $what"
}

String refused(Build build, Map inputs) {
    try {
        library(build).call(inputs)
    } catch (Ended ended) {
        return ended.message
    }
    throw new AssertionError("it took $inputs")
}

/** A declarative pipeline, as far as the page uses it. */
void runPipeline(String text, Build build, Map overrides) {
    def step = library(build)
    def steps = build.steps()
    steps.batchstep = { Map inputs -> step.call(inputs + overrides) }
    steps.any = 'any'
    steps.none = 'none'
    steps.agent = { String where -> build.nodes << where }
    steps.options = { Closure body -> body() }
    steps.timeout = { Map it -> assert it.time > 0 && it.unit == 'HOURS' }
    ['pipeline', 'stages', 'steps', 'script'].each { name -> steps[name] = { Closure body -> body() } }
    steps.stage = { String name, Closure body -> body() }
    def (loader, configuration) = shell()
    new GroovyShell(loader, new Binding(steps), configuration).evaluate(text)
}

proves('a run returns its outputs, publishes its files and describes the build') {
    def build = newBuild()
    def outputs = library(build).call(connected(requests: 'requests.jsonl'))
    assert outputs.outcome == 'succeeded' && outputs.total == '8' && outputs['exit-code'] == '0'
    assert outputs['batch-id'].startsWith('batch_')
    assert build.description.description == "${outputs['batch-id']}: succeeded, 8 of 8 succeeded"
    assert build.junits == [[testResults: 'batch-results-junit.xml', allowEmptyResults: true, skipMarkingBuildUnstable: true]]
    assert new XmlParser().parse(new File(build.workspace, 'batch-results-junit.xml')).'**'.testcase.size() == 8
    assert build.archives == [[artifacts: 'batch-results/**,batch-results.json', allowEmptyArchive: true]]
    assert new File(build.workspace, 'batch-results/results.jsonl').readLines().size() == 8
    assert !build.log.contains('sk-secret') && !build.scripts.join().contains('sk-secret')
    assert !build.variables.containsKey('BATCHSTEP_API_KEY')
}

proves('too many failures fail the build, unless the caller decides') {
    def build = newBuild()
    new File(build.workspace, 'requests.jsonl').text = 'no json\n'
    assert refused(build, connected(requests: 'requests.jsonl')) == 'batchstep run ended with exit code 3, outcome invalid.'
    assert build.archives.size() == 1
    assert library(build).call(connected(requests: 'requests.jsonl', failBuild: false))['exit-code'] == '3'
}

proves('values are words, whatever they contain') {
    def build = newBuild()
    def name = '''it's $(touch pwned) `touch pwned`;touch pwned #"\\.jsonl'''
    new File(build.workspace, name).text = new File(tree, 'examples/requests.jsonl').text
    def outputs = library(build).call(connected(requests: [name], metadata: ["a='b", 'c=$(touch pwned)\n&d']))
    assert outputs.outcome == 'succeeded'
    assert build.workspace.list().findAll { it.contains('pwned') } == [name]
}

proves('parameters of the build do not redirect the key') {
    def evil = [BATCHSTEP_BASE_URL: 'http://127.0.0.1:9/v1', OPENAI_BASE_URL: 'http://127.0.0.1:9/v1', BATCHSTEP_GATE: 'touch pwned',
        GITHUB_ACTIONS: 'true', INPUT_GATE: 'touch pwned', CI: 'woodpecker', CIRCLECI: 'true', BASH_ENV: 'victim', PLUGIN_GATE: 'touch pwned',
        BATCHSTEP_HEADERS: 'X-Evil: 1', BATCHSTEP_PROVIDER: 'openai', BATCHSTEP_OUTPUT_DIR: 'elsewhere']
    def build = newBuild(variables: evil)
    def outputs = library(build).call(connected(requests: 'requests.jsonl'))
    assert outputs.outcome == 'succeeded'
    assert !build.workspace.list().any { it in ['pwned', 'elsewhere', 'victim'] }
    // The same without `baseUrl`: the key goes to OpenAI's own address, not to the parameter's.
    def probe = new File(work, 'probe')
    probe.text = '#!/bin/sh\nenv | grep -E "^(BATCHSTEP|OPENAI|GITHUB_A|CI=)" | sort\necho "$@"\n'
    probe.executable = true
    build.log = ''
    library(build).call(binary: probe.path, requests: 'r', credentialsId: 'openai-api-key', headersCredentialsId: 'gateway-headers')
    assert build.log.readLines() == ['BATCHSTEP_API_KEY=sk-secret', 'BATCHSTEP_HEADERS=X-Team: blue', 'CI=true',
        'run --ci=jenkins --provider=openai --outputs-file=batch-results.json --junit=batch-results-junit.xml -- r']
}

proves('secrets, maps and unknown commands are refused') {
    def build = newBuild()
    assert refused(build, [apiKey: 'sk-1']).contains('`api-key` is a secret')
    assert refused(build, [headers: 'A: b']).contains('is a secret')
    assert refused(build, [metadata: [a: 1]]).contains('must be a text')
    assert refused(build, [requests: 'a\0b']).contains('must be a text')
    assert refused(build, ['max_failed; touch pwned': 1]).contains('is not an input')
    assert refused(build, [command: 'cancel']).contains('is not run')
    assert build.scripts.empty
}

proves('nothing of an earlier build is returned if the program does not run') {
    def build = newBuild()
    library(build).call(connected(requests: 'requests.jsonl'))
    build.description.description = null
    def outputs = library(build).call(connected(requests: 'requests.jsonl', binary: './missing', failBuild: false))
    assert outputs == ['exit-code': '127'] && build.description.description == null
}

proves('an aborted build cancels its batch within 5 seconds, and still publishes') {
    def build = newBuild(abortWhen: { it.log.contains('Created batch') })
    def thrown = null
    try {
        library(build).call(connected([requests: 'requests.jsonl'], slow))
    } catch (Aborted aborted) {
        thrown = aborted
    }
    assert thrown && build.archives.size() == 1
    def id = (build.log =~ /Created batch (\w+)/)[0][1]
    assert build.description.description == "$id: cancelled"
    def get = [binary, 'batch', 'get', id, '--provider', 'compatible', '--base-url', slow, '--api-key', 'x'].execute()
    assert get.text.contains('"status":"cancel')
}

def blocks = (new File(tree, 'docs/ci/jenkins.md').text =~ /(?s)```groovy\n(.*?)```/).collect { it[1] }
def overrides = [binary: binary, provider: 'compatible', baseUrl: quick]

proves('the first pipeline of the page') {
    def build = newBuild()
    runPipeline(blocks[0], build, overrides + [pollInterval: '100ms'])
    assert build.echoes.size() == 1 && build.echoes[0] ==~ /batch_\w+: succeeded, 8 of 8 succeeded/
}

proves('the second pipeline submits, sleeps without an agent and collects') {
    def build = newBuild()
    runPipeline(blocks[1], build, overrides)
    assert build.nodes[0..1] == ['none', 'any'] && build.nodes.count('node') == build.sleeps.size()
    assert build.sleeps.size() in 1..4
    assert new File(build.workspace, 'batch-results/results.jsonl').readLines().size() == 8
    assert build.description.description.endsWith('succeeded, 8 of 8 succeeded')
}

assert blocks.size() == 2
println "$passed passed, 0 failed"
System.exit(passed == 9 ? 0 : 1)
