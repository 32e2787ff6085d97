/// Clients and servers in Python, which are what others use to speak HTTP/2.
enum HTTP2Scripts {
    /// A client on PyPI's h2: connects, sends what it is told, and collects what comes. It checks nothing it sends.
    static let client = """
        import socket, ssl, struct, sys, time
        import h2.config, h2.connection, h2.events, h2.exceptions
        PORT = int(sys.argv[1])

        class Client:
            def __init__(self, raw=False, read=True):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_alpn_protocols(['h2'])
                self.socket = context.wrap_socket(
                    socket.create_connection(('127.0.0.1', PORT)), server_hostname='localhost')
                self.socket.settimeout(20)
                assert self.socket.selected_alpn_protocol() == 'h2'
                self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
                    validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding='utf-8'))
                self.events, self.closed = [], False
                self.h2.initiate_connection()
                self.flush()

            def flush(self): self.socket.sendall(self.h2.data_to_send())

            def headers(self, path='/', method='GET', more=(), end=True, stream=None, authority='a', drop=()):
                stream = stream or self.h2.get_next_available_stream_id()
                fields = [(':method', method), (':scheme', 'https'), (':authority', authority), (':path', path)]
                self.h2.send_headers(stream, [f for f in fields if f[0] not in drop] + list(more), end_stream=end)
                return stream

            def pump(self, until, limit=20):
                end = time.time() + limit
                while not until() and not self.closed and time.time() < end:
                    try: data = self.socket.recv(65536)
                    except (ConnectionError, ssl.SSLError, socket.timeout): data = b''
                    if not data:
                        self.closed = True
                        break
                    for event in self.h2.receive_data(data):
                        self.events.append(event)
                        if isinstance(event, h2.events.DataReceived):
                            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        if isinstance(event, h2.events.ConnectionTerminated): self.closed = True
                    try: self.flush()
                    except (ConnectionError, ssl.SSLError): pass

            def of(self, stream, kind): return [e for e in self.events
                                                if getattr(e, 'stream_id', 0) == stream and isinstance(e, kind)]

            def ended(self, stream): return self.of(stream, h2.events.StreamEnded) or self.of(
                stream, h2.events.StreamReset)

            def answer(self, stream):
                # Status, body, trailers, and how the stream ended.
                if not self.closed: self.flush()
                self.pump(lambda: self.ended(stream))
                heads = self.of(stream, h2.events.ResponseReceived)
                status = dict(heads[0].headers)[':status'] if heads else '-'
                body = b''.join(e.data for e in self.of(stream, h2.events.DataReceived)).decode()
                trailers = [f for e in self.of(stream, h2.events.TrailersReceived) for f in e.headers]
                resets = self.of(stream, h2.events.StreamReset)
                return status, body, trailers, 'reset' if resets else 'ended' if self.ended(stream) else 'closed'

        def frame(kind, flags, stream, payload=b''):
            return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload

        def alive():
            client = Client()
            return client.answer(client.headers('/alive'))[0]

        """

    /// gRPC without generated code: messages are bytes.
    static let grpcServer = """
        import grpc, sys
        from concurrent import futures
        class Service(grpc.GenericRpcHandler):
            def service(self, call):
                kind = call.method.rsplit('/', 1)[1]
                if kind == 'Unary': return grpc.unary_unary_rpc_method_handler(self.unary)
                if kind == 'Down': return grpc.unary_stream_rpc_method_handler(self.down)
                if kind == 'Up': return grpc.stream_unary_rpc_method_handler(self.up)
                if kind == 'Both': return grpc.stream_stream_rpc_method_handler(self.both)
            def unary(self, message, context):
                if message == b'fail': context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'as asked')
                context.set_trailing_metadata((('x-size', str(len(message))),))
                return message[::-1]
            def down(self, message, context):
                for number in range(int(message)): yield b'%d' % number * 1000
            def up(self, messages, context): return b'%d' % sum(len(m) for m in messages)
            def both(self, messages, context):
                for message in messages: yield message.upper()
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=16),
                             options=[('grpc.max_receive_message_length', -1)])
        server.add_generic_rpc_handlers((Service(),))
        assert server.add_insecure_port('127.0.0.1:' + sys.argv[1])
        server.start()
        server.wait_for_termination()
        """

    static let grpcClient = """
        import grpc, sys, threading
        port, trusted = sys.argv[1], open(sys.argv[2], 'rb').read()
        channel = grpc.secure_channel('127.0.0.1:' + port, grpc.ssl_channel_credentials(trusted),
            options=[('grpc.ssl_target_name_override', 'localhost'), ('grpc.max_send_message_length', -1),
                     ('grpc.max_receive_message_length', -1)])
        unary = channel.unary_unary('/test.Echo/Unary')
        answer, call = unary.with_call(b'hello', timeout=20)
        print(answer, dict(call.trailing_metadata())['x-size'])
        try: unary(b'fail', timeout=20)
        except grpc.RpcError as error: print(error.code().name, error.details())
        large = bytes(range(256)) * 16384
        print(unary(large, timeout=20) == large[::-1])
        down = list(channel.unary_stream('/test.Echo/Down')(b'500', timeout=20))
        print(len(down), down == [b'%d' % n * 1000 for n in range(500)])
        print(channel.stream_unary('/test.Echo/Up')((b'x' * 1000 for n in range(2000)), timeout=20))
        # One message after the answer to the one before it: nothing on the way may wait for more.
        step = threading.Semaphore(1)
        def talk():
            for word in (b'one', b'two', b'three'):
                step.acquire(); yield word
        answers = []
        for answer in channel.stream_stream('/test.Echo/Both')(talk(), timeout=20):
            answers.append(answer); step.release()
        print(answers)
        calls = [unary.future(b'%d' % n, timeout=20) for n in range(300)]
        print(all(c.result() == (b'%d' % n)[::-1] for n, c in enumerate(calls)))
        """
}
