// A step of a Jenkins shared library: runs batchstep, publishes what it left, and returns its outputs as a map.
// docs/ci/jenkins.md describes it. Names of inputs are written as `maxFailed` or as 'max-failed'.
import com.cloudbees.groovy.cps.NonCPS
import groovy.json.JsonSlurperClassic

Map call(Map inputs = [:]) {
    Map step = named(inputs)
    String problem = problemOf(step)
    if (problem) {
        error("batchstep: ${problem}")
    }
    String command = step.command ?: 'run'
    String directory = step['output-dir'] ?: 'batch-results'
    String outputsFile = step['outputs-file'] ?: "${directory}.json"
    String junitFile = junitOf(step, command, directory)
    String script = scriptOf(step, command, outputsFile, junitFile)
    List credentials = []
    if (step['credentials-id']) {
        credentials << string(credentialsId: step['credentials-id'], variable: 'BATCHSTEP_API_KEY')
    }
    if (step['headers-credentials-id']) {
        credentials << string(credentialsId: step['headers-credentials-id'], variable: 'BATCHSTEP_HEADERS')
    }
    Map outputs = [:]
    int status = 0
    withCredentials(credentials) {
        try {
            status = sh(label: "batchstep ${command}", returnStatus: true, script: script)
        } finally {
            // Also when the build is aborted: sh then throws.
            outputs = publish(step, directory, outputsFile, junitFile)
        }
    }
    outputs['exit-code'] = status.toString()
    if (status != 0 && step['fail-build'] != false) {
        error("batchstep ${command} ended with exit code ${status}, outcome ${outputs.outcome ?: 'unknown'}.")
    }
    return outputs
}

Map publish(Map step, String directory, String outputsFile, String junitFile) {
    Map outputs = fileExists(outputsFile) ? parsed(readFile(outputsFile)) : [:]
    String description = descriptionOf(outputs)
    if (description) {
        currentBuild.description = [currentBuild.description, description].findAll().join('; ')
    }
    if (junitFile && fileExists(junitFile)) {
        // Failed requests within `max-failed` do not make the build unstable: the exit code is the verdict.
        junit(testResults: junitFile, allowEmptyResults: true, skipMarkingBuildUnstable: true)
    }
    if (step.archive != false) {
        archiveArtifacts(artifacts: "${directory}/**,${outputsFile}", allowEmptyArchive: true)
    }
    return outputs
}

@NonCPS
static Map named(Map inputs) {
    Map step = [:]
    for (entry in inputs) {
        String name = entry.key.toString().replaceAll(/[A-Z]/) { '-' + it.toLowerCase() }
        step[name] = entry.value
    }
    return step
}

@NonCPS
static String problemOf(Map step) {
    for (entry in step) {
        if (!(entry.key ==~ /[a-z][a-z0-9]*(-[a-z0-9]+)*/)) {
            return "`${entry.key}` is not an input."
        }
        if (entry.key in ['api-key', 'headers', 'github-token', 'gitlab-token']) {
            return "`${entry.key}` is a secret: store it as a credential and name that with `credentialsId`."
        }
        for (item in itemsOf(entry.value)) {
            boolean isPlain = item instanceof CharSequence || item instanceof Number || item instanceof Boolean
            if (!isPlain || item.toString().contains('\0')) {
                return "`${entry.key}` must be a text, a number, a boolean, or a list of these."
            }
        }
    }
    if (!((step.command ?: 'run') in ['run', 'submit', 'collect', 'check'])) {
        return "`command` is not run, submit, collect or check: ${step.command}"
    }
    return null
}

// What is null or empty counts as not set.
@NonCPS
static List itemsOf(Object value) {
    List items = value instanceof List ? value : [value]
    return items.findAll { it != null && it.toString() != '' }
}

@NonCPS
static String junitOf(Map step, String command, String directory) {
    if (step.junit == false || !(command in ['run', 'collect'])) {
        return null
    }
    return (step.junit ?: "${directory}-junit.xml").toString()
}

// Every value is one word in single quotes, whatever it contains. Parameters of the build are variables of the
// script, so those that decide where the key is sent, or what runs, are removed first.
@NonCPS
static String scriptOf(Map step, String command, String outputsFile, String junitFile) {
    List own = ['command', 'binary', 'credentials-id', 'headers-credentials-id', 'archive', 'fail-build', 'provider',
        'junit', 'outputs-file', 'batch-id', 'ci']
    List words = [step.binary ?: 'batchstep', command, "--ci=${step.ci ?: 'jenkins'}"]
    List operands = itemsOf(step['batch-id'])
    if (command != 'check') {
        words << "--provider=${step.provider ?: 'openai'}" << "--outputs-file=${outputsFile}"
    }
    if (junitFile) {
        words << "--junit=${junitFile}"
    }
    for (entry in step) {
        if (entry.key in own) {
            continue
        }
        for (item in itemsOf(entry.value)) {
            if (entry.key == 'requests' && command != 'collect') {
                operands << item
            } else {
                words << "--${entry.key}=${item}"
            }
        }
    }
    if (operands) {
        words << '--'
        words.addAll(operands)
    }
    String kept = step['headers-credentials-id'] ? 'BATCHSTEP_API_KEY | BATCHSTEP_HEADERS' : 'BATCHSTEP_API_KEY'
    return """#!/bin/sh
set -eu
for name in \$(env | sed -n 's/^\\(BATCHSTEP_[A-Za-z0-9_]*\\)=.*/\\1/p'); do
    case \$name in ${kept}) ;; *) unset "\$name" ;; esac
done
unset OPENAI_BASE_URL OPENAI_CUSTOM_HEADERS ANTHROPIC_BASE_URL ANTHROPIC_CUSTOM_HEADERS
unset GITHUB_ACTIONS GITEA_ACTIONS FORGEJO_ACTIONS GITLAB_CI TF_BUILD DRONE
export CI=true
rm -f -- ${[outputsFile, junitFile].findAll().collect { quoted(it) }.join(' ')}
exec ${words.collect { quoted(it) }.join(' ')}
"""
}

@NonCPS
static String quoted(Object word) {
    return "'" + word.toString().replace("'", "'\\''") + "'"
}

@NonCPS
static Map parsed(String json) {
    return new HashMap(new JsonSlurperClassic().parseText(json))
}

// The id comes from the provider, and Jenkins may show descriptions as HTML.
@NonCPS
static String descriptionOf(Map outputs) {
    if (!outputs.outcome) {
        return null
    }
    String counts = outputs.succeeded ? ", ${outputs.succeeded} of ${outputs.total} succeeded" : ''
    String id = outputs['batch-id'] ? "${outputs['batch-id']}: " : ''
    return "${id}${outputs.outcome}${counts}".replaceAll(/[^\w.:, -]/, '?')
}
