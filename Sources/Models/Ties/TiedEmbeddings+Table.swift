/// Facts about the models of transformers 5.24, from `_tied_weights_keys` of its classes and the defaults of its configurations.
extension TiedEmbeddings {
  /// Output layers, with the embeddings that they are tied to; those of `lm_head` also as checkpoints of the bare model, and of models of
  /// several parts as they were saved before transformers 5.
  static let embeddings: [(head: String, embeddings: [String])] = [
    (
      "lm_head.weight",
      [
        "model.embed_tokens.weight", "model.language_model.embed_tokens.weight", "transformer.wte.weight",
        "backbone.embeddings.weight", "funnel.embeddings.word_embeddings.weight", "gpt_neox.embed_in.weight",
        "led.shared.weight", "model.decoder.embed_tokens.weight", "model.embed_tokens.embed_tokens.weight",
        "model.embed_tokens.word_embeddings.weight", "model.language_model.shared.weight", "model.shared.weight",
        "model.text_model.embed_tokens.weight", "model.text_model.embeddings.tok_embeddings.weight",
        "prophetnet.word_embeddings.weight", "shared.weight", "transformer.tokens_embed.weight",
        "transformer.w.weight", "transformer.word_embeddings.weight", "wte.weight", "embed_tokens.weight",
        "word_embeddings.weight",
      ]
    ),
    (
      "language_model.lm_head.weight",
      [
        "language_model.model.embed_tokens.weight", "language_model.model.decoder.embed_tokens.weight",
      ]
    ),
    (
      "cls.predictions.decoder.weight",
      [
        "bert.embeddings.word_embeddings.weight", "deberta.embeddings.word_embeddings.weight",
        "ernie.embeddings.word_embeddings.weight", "fnet.embeddings.word_embeddings.weight",
        "layoutlm.embeddings.word_embeddings.weight", "lxmert.embeddings.word_embeddings.weight",
        "mobilebert.embeddings.word_embeddings.weight", "mra.embeddings.word_embeddings.weight",
        "nomic_bert.embeddings.word_embeddings.weight", "nystromformer.embeddings.word_embeddings.weight",
        "roc_bert.embeddings.word_embeddings.weight", "roformer.embeddings.word_embeddings.weight",
        "tapas.embeddings.word_embeddings.weight", "transformer.embeddings.word_embeddings.weight",
        "visual_bert.embeddings.word_embeddings.weight", "yoso.embeddings.word_embeddings.weight",
      ]
    ),
    (
      "decoder.output_projection.weight",
      [
        "decoder.embed_tokens.weight"
      ]
    ),
    (
      "decoder.weight",
      [
        "model.embeddings.tok_embeddings.weight"
      ]
    ),
    (
      "embed_out.weight",
      [
        "gpt_neox_japanese.embed_in.weight"
      ]
    ),
    (
      "generator_lm_head.weight",
      [
        "convbert.embeddings.word_embeddings.weight", "electra.embeddings.word_embeddings.weight",
      ]
    ),
    (
      "head.decoder.weight",
      [
        "model.embed_tokens.weight"
      ]
    ),
    (
      "head.weight",
      [
        "rwkv.embeddings.weight"
      ]
    ),
    (
      "lm_head.decoder.weight",
      [
        "bert.embeddings.word_embeddings.weight", "data2vec_text.embeddings.word_embeddings.weight",
        "esm.embeddings.word_embeddings.weight", "gte.embeddings.word_embeddings.weight",
        "ibert.embeddings.word_embeddings.weight", "longformer.embeddings.word_embeddings.weight",
        "mpnet.embeddings.word_embeddings.weight", "roberta.embeddings.word_embeddings.weight",
        "roberta_prelayernorm.embeddings.word_embeddings.weight",
      ]
    ),
    (
      "lm_head.out_proj.weight",
      [
        "model.decoder.embed_tokens.weight", "model.encoder.text_model.embed_tokens.weight",
      ]
    ),
    (
      "lm_loss.weight",
      [
        "transformer.word_embedding.weight"
      ]
    ),
    (
      "output.weight",
      [
        "git.embeddings.word_embeddings.weight"
      ]
    ),
    (
      "output_projection.weight",
      [
        "biogpt.embed_tokens.weight", "model.decoder.embed_tokens.weight",
      ]
    ),
    (
      "pred_layer.proj.weight",
      [
        "transformer.embeddings.weight"
      ]
    ),
    (
      "predictions.decoder.weight",
      [
        "albert.embeddings.word_embeddings.weight"
      ]
    ),
    (
      "proj_out.weight",
      [
        "model.decoder.embed_tokens.weight"
      ]
    ),
    (
      "text_decoder.cls.predictions.decoder.weight",
      [
        "text_decoder.bert.embeddings.word_embeddings.weight"
      ]
    ),
    (
      "text_decoder_postnet.lm_head.weight",
      [
        "speecht5.decoder.prenet.embed_tokens.weight"
      ]
    ),
    (
      "text_model.lm_head.weight",
      [
        "text_model.model.embed_tokens.weight"
      ]
    ),
    (
      "vocab_projector.weight",
      [
        "distilbert.embeddings.word_embeddings.weight"
      ]
    ),
  ]

  /// Biases of output layers, with those that they are tied to.
  package static let biases: [(head: String, own: String)] = [
    ("cls.predictions.decoder.bias", "cls.predictions.bias"), ("predictions.decoder.bias", "predictions.bias"),
    ("lm_head.decoder.bias", "lm_head.bias"),
    ("text_decoder.cls.predictions.decoder.bias", "text_decoder.cls.predictions.bias"),
  ]

  /// Classes that call the output layer otherwise, with an embedding of the usual name, by how they begin.
  static let unusualHeads = [
    ("Whisper", "proj_out.weight"), ("Moonshine", "proj_out.weight"), ("Canary", "proj_out.weight"),
    ("CohereAsr", "proj_out.weight"), ("TrOCR", "output_projection.weight"), ("T5Gemma", "lm_head.out_proj.weight"),
    ("Ultrabert", "head.decoder.weight"), ("FSMT", "decoder.output_projection.weight"),
  ]

  /// Kinds of models whose configuration says nothing and means tied.
  static let tiedByDefault: Set<String> = [
    "albert", "aya_vision", "bart", "bert", "bert-generation", "big_bird", "bigbird_pegasus", "biogpt", "blenderbot",
    "blenderbot-small", "blip", "blip_text_model", "bloom", "camembert", "canary", "codegen", "cohere", "cohere2",
    "cohere2_moe", "cohere2_vision", "cohere_compass_text", "convbert", "cpmant", "csm", "ctrl", "data2vec-text",
    "deberta", "deberta-v2", "deepseek_vl", "deepseek_vl_hybrid", "diffusion_gemma", "diffusion_gemma_text",
    "distilbert", "electra", "ernie", "ernie4_5", "ernie4_5_moe", "ernie4_5_vl_moe", "ernie4_5_vl_moe_text", "esm",
    "falcon", "falcon_mamba", "flaubert", "flava", "florence2", "fnet", "fun_asr_nano", "funnel", "gemma", "gemma2",
    "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "gemma4", "gemma4_assistant", "gemma4_text", "gemma4_unified",
    "gemma4_unified_assistant", "gemma4_unified_text", "glmasr", "got_ocr2", "gpt-sw3", "gpt2", "gpt_bigcode",
    "gpt_neo", "gpt_neox_japanese", "granite_docling", "granite_docling_text", "granite_speech", "granite_speech_plus",
    "granite_swa", "gte", "hunyuan_vl", "hunyuan_vl_text", "hyperclovax_vision_v2", "ibert", "internvl", "janus",
    "jetmoe", "jina_embeddings_v3", "kimi_k25", "kosmos-2", "kosmos-2.5", "kosmos_2_5_text_model",
    "kosmos_2_text_model", "lara_mini", "layoutlm", "led", "lfm2", "lfm2_moe", "lfm2_vl", "lfm3", "lfm3_vl",
    "lighton_ocr", "longformer", "longt5", "luke", "lxmert", "m2m_100", "mamba", "marian", "mbart", "megatron-bert",
    "minicpm3", "minicpm_ocr", "mistral3", "mobilebert", "modernbert", "modernbert-decoder", "moonshine",
    "moss_transcribe_diarize", "mpnet", "mpt", "mra", "mt5", "mvp", "neomme", "nllb-moe", "nomic_bert",
    "nystromformer", "openai-gpt", "opt", "ovis2", "paddleocr_vl", "paddleocr_vl_text", "paligemma", "pegasus",
    "pegasus_x", "plbart", "pop2piano", "pp_chart2table", "prophetnet", "qwen2_5_omni_text", "qwen3_asr",
    "qwen3_vl_moe_text", "recurrent_gemma", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "seamless_m4t",
    "seamless_m4t_v2", "shieldgemma2", "smollm3", "speech_to_text", "speecht5", "squeezebert", "starcoder2",
    "switch_transformers", "t5", "t5gemma", "t5gemma2", "t5gemma2_decoder", "t5gemma2_encoder", "t5gemma2_text",
    "tapas", "trocr", "udop", "umt5", "vaultgemma", "visual_bert", "voxtral_realtime", "whisper", "xglm", "xlm",
    "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod", "yoso", "youtu", "zamba", "zamba2", "zaya",
  ]
}
