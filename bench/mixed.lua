-- bench/mixed.lua COUNT TOKENS_FILE TOKEN_FILE ISSUE_FILE: COUNT requests of all kinds, then the end. Of twenty, one
-- issues a token, nine introspect the next token of a long file (from its start again after its end), the others
-- introspect or verify one token that is well known. For one thread.
local folder = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
dofile(folder .. "report.lua")

local KINDS = "ifrfrfvfrfrfrfvfrfrr" -- issue, fresh, repeated, verify
local left, tokens, length, fresh_head
local made = {}
local at = 0

local function format(path, content_type, body)
    return wrk.format("POST", path, { ["Host"] = wrk.headers["Host"], ["Content-Type"] = content_type,
                                      ["Authorization"] = wrk.headers["Authorization"] }, body)
end

function init(args)
    left = tonumber(args[1])
    tokens = assert(io.open(args[2], "rb"))
    length = #tokens:read("*l")
    tokens:seek("set", 0)
    local token = read_file(args[3])
    local form, json = "application/x-www-form-urlencoded", "application/json"
    fresh_head = format("/token/introspect", form, "token=" .. string.rep("x", length)):sub(1, -1 - length)
    made.i = format("/token", json, read_file(args[4]))
    made.r = format("/token/introspect", form, "token=" .. token)
    made.v = format("/token/verify", json, '{"token":"' .. token .. '"}')
end

local function next_token()
    local token = tokens:read("*l")
    if not token then
        tokens:seek("set", 0)
        token = tokens:read("*l")
    end
    return token
end

function request()
    left = left - 1
    if left < 0 then
        return finish()
    end
    at = at % #KINDS + 1
    local kind = KINDS:sub(at, at)
    return kind == "f" and fresh_head .. next_token() or made[kind]
end
