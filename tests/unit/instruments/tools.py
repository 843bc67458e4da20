"""How each tool prints an answer, and how it prints a failure: a text put into the shape of its output."""

from recordings import (
    CLAUDE_FAILED,
    CLAUDE_INIT,
    CLAUDE_RESULT,
    CLAUDE_SAID,
    CODEX_START,
    CODEX_USAGE,
    GEMINI_RESULT,
    claude_failure,
    codex_item,
    gemini_failure,
    gemini_said,
    gemini_stderr,
    lines,
    one,
    opencode,
    pi,
    pi_message,
)


def failed(tool, text, status=None):  # noqa: PLR0911  a shape a tool
    """Return stdout, stderr and exit code of a tool that ends with this error."""
    match tool:
        case "claude-code":
            return claude_failure(status, text), b"", 1
        case "codex-cli":
            events = ({"type": "error", "message": text}, {"type": "turn.failed", "error": {"message": text}})
            return lines(CODEX_START, *events), b"", 1
        case "gemini-cli":
            return gemini_failure(text), gemini_stderr(status or 1, text), 1
        case "cline-cli":
            said = {"type": "run_result", "text": text, "finishReason": "error"}
            return lines(said), lines({"type": "error", "message": text}), 1
        case "copilot":
            events = [{"type": "session.error", "data": {"message": text}}]
            if status is not None:
                events.insert(0, {"type": "model.call_failure", "data": {"statusCode": status}})
            return lines(*events, {"type": "result", "sessionId": "c-1", "exitCode": 1}), b"", 1
        case "opencode":
            data = {"message": text} if status is None else {"message": text, "statusCode": status}
            error = {"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}}
            return lines(opencode("step_start"), error), b"", 1
        case "qwen":
            text = text if text.startswith("[") else f"[API Error: {text}]"
            return one([{"type": "system"}, {**CLAUDE_FAILED, "is_error": False, "result": text}]), b"", 0
        case "antigravity":
            own = ("Individual", "Error: ", "error getting", "Agent execution")
            said = text if text.startswith(own) else f"agent executor error: {text}"
            return f"{said}\n".encode(), b"", 0
        case "pi":
            return pi(pi_message("assistant", [], "error", errorMessage=text)), b"", 0
        case _:
            return b"", f"{text}\n".encode(), 1


def answered(tool, text):  # noqa: PLR0911  as above
    """Return stdout, stderr and exit code of a tool that has done its work and says this at its end."""
    match tool:
        case "claude-code":
            said = {**CLAUDE_SAID, "message": {"content": [{"type": "text", "text": text}]}}
            result = {"type": "tool_result", "content": text, "is_error": True}
            tool_said = {"type": "user", "message": {"content": [result]}}
            return lines(CLAUDE_INIT, said, tool_said, {**CLAUDE_RESULT, "result": text}), b"", 0
        case "codex-cli":
            ran = codex_item("command_execution", text)
            return (
                lines(
                    CODEX_START,
                    codex_item("error", text),
                    ran,
                    codex_item("agent_message", text),
                    CODEX_USAGE,
                ),
                b"",
                0,
            )
        case "gemini-cli":
            return (
                lines(
                    *gemini_said(text),
                    {"type": "error", "severity": "warning", "message": text},
                    GEMINI_RESULT,
                ),
                f"{text}\n".encode(),
                0,
            )
        case "cline-cli":
            return (
                lines(
                    {"type": "say", "text": text},
                    {"type": "run_result", "text": text, "finishReason": "completed"},
                ),
                b"",
                0,
            )
        case "copilot":
            message = {"type": "assistant.message", "data": {"content": text}}
            return (
                lines(message, {"type": "result", "sessionId": "c-1", "exitCode": 0}),
                f"{text}\n".encode(),
                0,
            )
        case "opencode":
            return lines(opencode("tool_use", tool="bash", output=text), opencode("text", text=text)), b"", 0
        case "qwen":
            return one([{"type": "system"}, {**CLAUDE_RESULT, "result": text}]), b"", 0
        case "pi":
            return pi(pi_message("user", [text]), pi_message("assistant", [text])), b"", 0
        case "goose":
            return one({"messages": [{"content": [{"text": text}]}]}), b"", 0
        case _:
            return f"{text}\n".encode(), f"{text}\n".encode(), 0
