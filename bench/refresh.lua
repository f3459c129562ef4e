-- bench/refresh.lua CHAINS_FILE [rotating]: refreshes, with the tokens of a file in turn; what an answer brings takes
-- the used one's place, at the end of the line. With `rotating`, no answer may bring a token that was used before.
-- There must be more tokens than connections. For one thread.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

local line, first, last = {}, 1, 0
local used = {}
local length, head, is_rotating
local is_begun = false

function init(args)
    for token in io.lines(args[1]) do
        last = last + 1
        line[last] = token
    end
    is_rotating = args[2] == "rotating"
    length = #line[1]
    wrk.method = "POST"
    wrk.body = "grant_type=refresh_token&refresh_token=" .. string.rep("x", length)
    head = wrk.format():sub(1, -1 - length)
end

function request()
    local token = assert(line[first], "there are no more refresh tokens than connections")
    if not is_begun then -- the first one is only looked at by wrk, to count what is in it
        is_begun = true
        return head .. token
    end
    line[first] = nil
    first = first + 1
    used[token] = true
    return head .. token
end

function response(status, headers, body)
    local token = body:match('"refresh_token":"([^"]+)"')
    assert(status == 200 and token, "an answer without a refresh token: " .. body)
    assert(#token == length, "the refresh tokens differ in length")
    assert(not (is_rotating and used[token]), "an answer brings a refresh token that was used: it has not rotated")
    last = last + 1
    line[last] = token
end
