#!/usr/bin/env bash
# Puts the token service into an account of AWS, or a new version of it in the place of the old one. docs/aws.md tells
# what is made there, what it costs, and what has to be there before.
set -euo pipefail

usage() {
    cat <<'TEXT'
deploy/deploy-token-service.sh STACK [OPTION]...
    checks, uploads the zip, updates the stack, publishes a version, tries it, gives it a part of the traffic, watches
    the canary's alarm, gives it all of the traffic, and tries it again through the HTTP API. Whatever fails after the
    traffic has begun to move, moves it back.

STACK is the name of the stack, of the function and of the key's alias.

    --parameter NAME=VALUE    of deploy/template.yaml, any number of times; the first time at least Issuer, SecretArn
                              and SupabaseUrl (or Store=postgres); one that is not given stays as it was
    --zip FILE                default: build/packages/token-service-lambda-x86_64.zip, which ./dev lambda makes
    --bucket NAME             for the zip and the template; made if it is missing; default: token-service-ACCOUNT-REGION
    --url URL                 where the API is tried, if it has a domain of its own
    --canary PERCENT          of the traffic, for the new version at first; default 10
    --watch SECONDS           for so long; default 300
    --every SECONDS           how often the alarm is looked at; default 15
    --no-canary               moves all of the traffic at once
    --check                   only checks: changes nothing
    --rollback                gives all of the traffic back to the version that had it before; updates no stack

It needs the AWS CLI (1 or 2) with credentials and a region, curl and unzip.
TEXT
}

say() { printf '%s\n' "$*"; }

die() {
    printf 'deploy-token-service: %s\n' "$*" >&2
    exit 1
}

# --- what is wanted ---------------------------------------------------------------------------------------------------

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
template=$root/deploy/template.yaml
zip=$root/build/packages/token-service-lambda-x86_64.zip
stack='' bucket='' url='' canary=10 watch_s=300 every_s=15 task=deploy
parameters=()

# number OPTION VALUE MIN MAX
number() {
    if ! [[ $2 =~ ^[1-9]?[0-9]{1,5}$ ]] || (($2 < $3 || $2 > $4)); then
        die "$1 takes a number from $3 to $4"
    fi
}

read_arguments() {
    while (($# > 0)); do
        case $1 in
        --parameter | --zip | --bucket | --url | --canary | --watch | --every)
            (($# > 1)) || die "$1 needs a value"
            ;;&
        --parameter)
            [[ $2 =~ ^[A-Za-z]+=.*$ ]] || die "--parameter takes NAME=VALUE"
            parameters+=("$2")
            shift
            ;;
        --zip) zip=$2 && shift ;;
        --bucket) bucket=$2 && shift ;;
        --url) url=${2%/} && shift ;;
        --canary) number "$1" "$2" 1 99 && canary=$2 && shift ;;
        --watch) number "$1" "$2" 0 86400 && watch_s=$2 && shift ;;
        --every) number "$1" "$2" 1 3600 && every_s=$2 && shift ;;
        --no-canary) canary=0 ;;
        --check) task=check ;;
        --rollback) task=rollback ;;
        -h | --help) usage && exit ;;
        -*) die "there is no option $1 (see --help)" ;;
        *)
            [[ -z $stack ]] || die "one stack, not $stack and $1"
            stack=$1
            ;;
        esac
        shift
    done
    [[ $stack =~ ^[A-Za-z][A-Za-z0-9-]{0,46}$ ]] ||
        die "which stack? A name of at most 47 letters, digits and hyphens that begins with a letter (see --help)"
}

# --- what is there ----------------------------------------------------------------------------------------------------

# ask WORDS…: the AWS CLI's answer as text; nothing where it says None.
ask() {
    local answer
    answer=$(aws "$@" --output text) || return
    [[ $answer == None ]] || printf '%s\n' "$answer"
}

find_account() {
    local tool
    for tool in aws curl unzip sha256sum; do
        command -v "$tool" >/dev/null || die "$tool is missing"
    done
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [[ -n $region ]] || die "which region? Set AWS_REGION"
    export AWS_DEFAULT_REGION=$region AWS_PAGER=
    account=$(ask sts get-caller-identity --query Account) || die "AWS does not know these credentials"
    bucket=${bucket:-token-service-$account-$region}
}

alias_live() {
    ask lambda get-alias --function-name "$stack" --name live --query "$1" 2>/dev/null || true
}

output_of_stack() {
    ask cloudformation describe-stacks --stack-name "$stack" \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue | [0]"
}

# --- checks -----------------------------------------------------------------------------------------------------------

# The value that --parameter gives NAME.
given() {
    local one
    for one in ${parameters[@]+"${parameters[@]}"}; do
        [[ $one != "$1="* ]] || printf '%s\n' "${one#*=}"
    done
}

check() {
    local names
    [[ -r $zip ]] || die "there is no zip at $zip: ./dev lambda makes one"
    names=$(unzip -Z1 "$zip") || die "$zip is not a zip"
    grep -qx bootstrap <<<"$names" || die "$zip has no bootstrap: it is not the zip of this function"
    case $(basename "$zip") in
    *arm64*) architecture=arm64 ;;
    *) architecture=x86_64 ;;
    esac
    if [[ -z $(alias_live FunctionVersion) ]]; then
        [[ -n $(given Issuer) ]] || die "the first time it needs --parameter Issuer=https://…"
        [[ -n $(given SecretArn) ]] || die "the first time it needs --parameter SecretArn=arn:aws:secretsmanager:…"
        [[ -n $(given SupabaseUrl) || $(given Store) == postgres ]] ||
            die "the first time it needs --parameter SupabaseUrl=https://…, or Store=postgres"
    fi
    check_secret
    say "checked: account $account, $region, $(basename "$zip") ($architecture)"
}

# That it is there, not what it holds.
check_secret() {
    local secret
    secret=$(given SecretArn)
    [[ -n $secret ]] || return 0
    ask secretsmanager describe-secret --secret-id "$secret" --query ARN >/dev/null ||
        die "there is no secret $secret, or you may not see it"
}

# --- the zip and the stack --------------------------------------------------------------------------------------------

make_bucket() {
    local constraint=()
    aws s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" >/dev/null 2>&1 && return
    [[ $region == us-east-1 ]] || constraint=(--create-bucket-configuration "LocationConstraint=$region")
    aws s3api create-bucket --bucket "$bucket" ${constraint[@]+"${constraint[@]}"} >/dev/null ||
        die "the bucket $bucket can't be made, or belongs to somebody else"
    aws s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
        BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
    aws s3api put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
    say "made: the bucket $bucket"
}

# Under the name of its contents: what is there already is the same.
upload() {
    local sum
    sum=$(sha256sum <"$zip")
    key=token-service/${sum%% *}.zip
    if ! aws s3api head-object --bucket "$bucket" --key "$key" --expected-bucket-owner "$account" >/dev/null 2>&1; then
        aws s3api put-object --bucket "$bucket" --key "$key" --body "$zip" --expected-bucket-owner "$account" >/dev/null
    fi
    say "uploaded: s3://$bucket/$key"
}

update_stack() {
    aws cloudformation deploy --stack-name "$stack" --template-file "$template" --s3-bucket "$bucket" \
        --s3-prefix token-service/templates --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset \
        --parameter-overrides ${parameters[@]+"${parameters[@]}"} "CodeBucket=$bucket" "CodeKey=$key" \
        "Architecture=$architecture" "LiveVersion=$before" || {
        ask cloudformation describe-stack-events --stack-name "$stack" --query \
            "StackEvents[?contains(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2 || true
        die "the stack could not be updated; nothing has moved"
    }
    say "updated: the stack $stack"
}

publish() {
    aws lambda wait function-updated-v2 --function-name "$stack"
    version=$(ask lambda publish-version --function-name "$stack" --description "${key##*/}" --query Version)
    say "published: version $version"
}

# --- trying -----------------------------------------------------------------------------------------------------------

# The version itself, before any caller reaches it.
try_version() {
    local folder status
    folder=$(mktemp -d)
    # shellcheck disable=SC2016 # "$default" is the name of a stage
    printf '%s' '{"version":"2.0","routeKey":"ANY /health/{proxy+}","rawPath":"/health/ready","rawQueryString":"",' \
        '"headers":{"host":"deploy"},"requestContext":{"http":{"method":"GET","path":"/health/ready",' \
        '"protocol":"HTTP/1.1","sourceIp":"127.0.0.1"},"stage":"$default","requestId":"deploy"},' \
        '"isBase64Encoded":false}' >"$folder/event"
    status=$(ask lambda invoke --function-name "$stack" --qualifier "$version" --payload "fileb://$folder/event" \
        --query FunctionError "$folder/answer") || status="it can't be called"
    if [[ -n $status ]] || ! grep -Eq '"statusCode": *200' "$folder/answer"; then
        say "version $version answers: ${status:-no error} $(head -c 500 "$folder/answer" 2>/dev/null || true)" >&2
        rm -rf "$folder"
        return 1
    fi
    rm -rf "$folder"
    say "tried: version $version is ready"
}

# get PATH WORDS…: the status of a call of the API; its body is in $answer.
get() {
    local path=$1
    shift
    curl -sS --max-time 20 --output "$answer" --write-out '%{http_code}' "$@" "$url$path" || true
}

# What any caller can see of a service that works.
try_api() {
    local answer issuer status
    answer=$(mktemp)
    issuer=$(ask lambda get-function-configuration --function-name "$stack" \
        --query 'Environment.Variables.TOKEN_ISSUER')
    for row in '200 /health/ready .' '200 /.well-known/jwks.json "kid"' \
        "200 /.well-known/openid-configuration \"$issuer\"" \
        '401 /token . --request POST --header Content-Type:application/json --data {}' '404 /metrics .'; do
        read -r -a words <<<"$row"
        status=$(get "${words[1]}" "${words[@]:3}")
        if [[ $status != "${words[0]}" ]] || ! grep -qF -- "${words[2]#.}" "$answer"; then
            say "$url${words[1]} answers $status: $(head -c 300 "$answer")" >&2
            rm -f "$answer"
            return 1
        fi
    done
    rm -f "$answer"
    say "tried: $url answers as it should"
}

# --- traffic ----------------------------------------------------------------------------------------------------------

# move VERSION ROUTING DESCRIPTION
move() {
    aws lambda update-alias --function-name "$stack" --name live --function-version "$1" --routing-config "$2" \
        --description "$3" >/dev/null
}

readonly all='{"AdditionalVersionWeights":{}}'
is_moving=false

# At every end of this script: what has begun and did not come to its end is taken back.
take_back() {
    if [[ $is_moving == true ]]; then
        is_moving=false
        move "$before" "$all" "rolled back from $version"
        printf 'deploy-token-service: all of the traffic is back at version %s\n' "$before" >&2
    fi
}

# Sets $state.
look_at_alarm() {
    state=$(ask cloudwatch describe-alarms --alarm-names "$stack-canary" --query 'MetricAlarms[0].StateValue') ||
        die "the alarm $stack-canary can't be looked at"
    [[ -n $state ]] || die "there is no alarm $stack-canary"
}

watch_canary() {
    local end=$((SECONDS + watch_s)) answer=/dev/null status
    while ((SECONDS < end)); do
        sleep "$every_s"
        status=$(get /health/ready)
        [[ $status == 200 ]] || die "$url/health/ready answers $status while version $version has a part of the traffic"
        look_at_alarm
        [[ $state != ALARM ]] || die "the alarm $stack-canary rang: version $version fails"
    done
}

shift_traffic() {
    local state
    if ((canary > 0)); then
        look_at_alarm
        [[ $state != ALARM ]] ||
            die "the alarm $stack-canary rings already, so it could not tell: mend that first, or use --no-canary"
        is_moving=true
        move "$before" "$(printf '{"AdditionalVersionWeights":{"%s":0.%02d}}' "$version" "$canary")" \
            "$canary % for $version"
        say "moved: $canary % of the traffic to version $version; watching for $watch_s s"
        watch_canary
    fi
    is_moving=true
    move "$version" "$all" "before: $before"
    say "moved: all of the traffic to version $version"
}

# --- tasks ------------------------------------------------------------------------------------------------------------

deploy() {
    before=$(alias_live FunctionVersion)
    make_bucket
    upload
    update_stack
    publish
    url=${url:-$(output_of_stack ApiUrl)}
    try_version || die "version $version does not work; callers have not seen it"
    before=${before:-$(alias_live FunctionVersion)}
    [[ -n $before ]] || die "the function has no alias live: was the stack made by this template?"
    if [[ $before == "$version" ]]; then
        say "version $version has all of the traffic already"
    else
        shift_traffic
    fi
    try_api || die "the API does not answer as it should"
    is_moving=false
    say "deployed: version $version of $stack at $url"
}

roll_back() {
    local description target
    before=$(alias_live FunctionVersion)
    [[ -n $before ]] || die "there is no function $stack with an alias live"
    description=$(alias_live Description)
    case $description in
    'before: '*) target=${description#before: } ;;
    *' % for '*) target=$before ;; # in the midst of a canary, whose script has been killed
    *) die "the alias does not say which version was there before: \"$description\"" ;;
    esac
    move "$target" "$all" "rolled back from $before"
    say "moved: all of the traffic to version $target, from $before"
    url=${url:-$(output_of_stack ApiUrl)}
    version=$target
    try_api || die "the API does not answer as it should"
}

main() {
    read_arguments "$@"
    find_account
    trap take_back EXIT
    trap 'exit 130' INT TERM HUP
    case $task in
    check) check ;;
    rollback) roll_back ;;
    deploy)
        check
        deploy
        ;;
    esac
}

main "$@"
