"""Run one command: read the settings, call the handler, and turn errors into exit codes."""

import argparse
import io
import sys

from pydantic import ValidationError

from service.analysis.protocols.file import ProtocolError
from service.api_keys import KeyFileError
from service.cli.arguments import CommandError, RefusedFrame
from service.cli.output import print_line
from service.errors import Problem
from service.execution.decoders.decoder import DecoderSystemError
from service.execution.time_limit import TimeLimitError
from service.inference.package import PackageError
from service.jobs import JobError
from service.observability.trace import new_request_id
from service.schemas.file_names import printable
from service.schemas.problems import ProblemDetails
from service.settings import PREFIX, Settings, describe_errors
from service.site_secret import SiteSecretError
from service.store.options import StoreError


def run_command(options: argparse.Namespace) -> int:
    """Run the handler that the parser chose; return 0 for success, 1 for a refused frame, 2 for a wrong command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON is UTF-8 (RFC 8259), whatever the locale
    try:
        settings = Settings() if options.model is None else Settings(model=options.model)
        return int(options.handler(options, settings))
    except Problem as problem:
        print_line(ProblemDetails.of(problem, new_request_id()).model_dump_json())
        return 1
    except RefusedFrame as refused:
        print_line(str(refused))
        return 1
    except ValidationError as error:
        message = f"invalid settings: {describe_errors(error)}"
    except PackageError as error:
        source = f"{PREFIX}MODEL" if options.model is None else "--model"
        message = f"the model package of {source} is refused: {error}"
    except ProtocolError as error:
        message = f"the protocols are refused: {error}"
    except TimeLimitError as error:
        message = f"the model package or the protocols cannot be read: {error} ({PREFIX}LOAD_S)"
    except KeyFileError as error:
        message = f"the API keys of {PREFIX}API_KEYS are refused: {error}"
    except SiteSecretError as error:
        message = f"the secret of {PREFIX}STORE_SECRET is refused: {error}"
    except (CommandError, JobError, DecoderSystemError, StoreError) as error:
        message = str(error)
    sys.stderr.write(f"fetal-planes: {printable(message)}\n")
    return 2
