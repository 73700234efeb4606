// Made by Spec/make-names.py of the same text as Spec/names.txt.

extension NameTable {
  /// `Spec/names.txt`
  package static let text = #"""
    # How transformers 5.24.0 names tensors: rules from names on disk to names in memory.
    # Made by make-names.py; names.md says what the lines mean.
    version transformers 5.24.0
    family ASTModel DeiTModel IJepaModel ViTMAEModel ViTMSNModel ViTModel VivitModel
    rename encoder.layer. > layers.
    rename attention.query > q_proj
    rename attention.key > k_proj
    rename attention.value > v_proj
    rename attention.output.dense > attention.o_proj
    rename intermediate.dense > mlp.fc1
    rename output.dense > mlp.fc2
    family AltCLIPVisionModel CLIPSegVisionModel CLIPVisionModel ChineseCLIPVisionModel MetaClip2VisionModel Siglip2VisionModel SiglipVisionModel mlcd mlcd_vision xCLIPVisionModel
    rename ^vision_model.* > *
    family AriaModel AudioFlamingo3Model AyaVisionModel FuyuModel Gemma3Model GlmAsrModel GotOcr2Model GraniteSpeechModel GraniteSpeechPlusModel InternVLModel LlavaModel LlavaNextModel LlavaNextVideoModel LlavaOnevisionModel Mistral3Model MllamaModel MusicFlamingoModel PPChart2TableModel PaliGemmaModel Qwen2AudioModel VibeVoiceAsrModel VideoLlavaModel VipLlavaModel VoxtralModel VoxtralRealtimeModel
    rename ^language_model.model > language_model
    family BeitBackbone
    rename ^fpn1.0. > fpn.fpn1.conv_transpose1.
    rename ^fpn1.1. > fpn.fpn1.normalization.
    rename ^fpn1.3. > fpn.fpn1.conv_transpose2.
    rename ^fpn2.0. > fpn.fpn2.
    rename ^encoder.layer. > beit.encoder.layer.
    rename ^embeddings. > beit.embeddings.
    rename attention.query > q_proj
    rename attention.key > k_proj
    rename attention.value > v_proj
    rename attention.output.dense > attention.o_proj
    rename intermediate.dense > mlp.fc1
    rename output.dense > mlp.fc2
    family BeitForSemanticSegmentation
    rename {<psp_modules.#.1.}bn. > normalization.
    rename {<psp_modules.#.1.}conv.weight > convolution.weight
    rename ^fpn1.0. > fpn.fpn1.conv_transpose1.
    rename ^fpn1.1. > fpn.fpn1.normalization.
    rename ^fpn1.3. > fpn.fpn1.conv_transpose2.
    rename ^fpn2.0. > fpn.fpn2.
    rename decode_head.bottleneck. > decode_head.psp_bottleneck.
    rename decode_head.psp_modules.#.1.conv.weight > decode_head.psp_modules.blocks.#.conv.convolution.weight
    rename decode_head.psp_modules.#.1.bn. > decode_head.psp_modules.blocks.#.conv.normalization.
    family BeitModel
    rename encoder.layer. > layers.
    rename attention.query > q_proj
    rename attention.key > k_proj
    rename attention.value > v_proj
    rename attention.output.dense > attention.o_proj
    rename intermediate.dense > mlp.fc1
    rename output.dense > mlp.fc2
    rename encoder.relative_position_bias > shared_position_bias
    rename attention.attention.relative_position_bias.relative_position_bias_table > relative_position_bias.relative_position_bias_table
    family CLIPSegTextModel CLIPTextModel MetaClip2TextModel Siglip2TextModel SiglipTextModel xCLIPTextModel
    rename ^text_model.* > *
    family ConditionalDetrForSegmentation DetrForSegmentation
    rename bbox_attention.q_linear > bbox_attention.q_proj
    rename bbox_attention.k_linear > bbox_attention.k_proj
    rename mask_head.lay1 > mask_head.conv1.conv
    rename mask_head.gn1 > mask_head.conv1.norm
    rename mask_head.lay2 > mask_head.conv2.conv
    rename mask_head.gn2 > mask_head.conv2.norm
    rename mask_head.adapter1 > mask_head.fpn_stages.0.fpn_adapter
    rename mask_head.lay3 > mask_head.fpn_stages.0.refine.conv
    rename mask_head.gn3 > mask_head.fpn_stages.0.refine.norm
    rename mask_head.adapter2 > mask_head.fpn_stages.1.fpn_adapter
    rename mask_head.lay4 > mask_head.fpn_stages.1.refine.conv
    rename mask_head.gn4 > mask_head.fpn_stages.1.refine.norm
    rename mask_head.adapter3 > mask_head.fpn_stages.2.fpn_adapter
    rename mask_head.lay5 > mask_head.fpn_stages.2.refine.conv
    rename mask_head.gn5 > mask_head.fpn_stages.2.refine.norm
    rename mask_head.out_lay > mask_head.output_conv
    family ConditionalDetrModel
    rename backbone.conv_encoder > backbone
    rename self_attn.out_proj > self_attn.o_proj
    rename encoder_attn.out_proj > encoder_attn.o_proj
    rename layers.#.fc1 > layers.#.mlp.fc1
    rename layers.#.fc2 > layers.#.mlp.fc2
    rename decoder.layers.#.sa_qcontent_proj > decoder.layers.#.self_attn.q_content_proj
    rename decoder.layers.#.sa_qpos_proj > decoder.layers.#.self_attn.q_pos_proj
    rename decoder.layers.#.sa_kcontent_proj > decoder.layers.#.self_attn.k_content_proj
    rename decoder.layers.#.sa_kpos_proj > decoder.layers.#.self_attn.k_pos_proj
    rename decoder.layers.#.sa_v_proj > decoder.layers.#.self_attn.v_proj
    rename decoder.layers.#.ca_qcontent_proj > decoder.layers.#.encoder_attn.q_content_proj
    rename decoder.layers.#.ca_qpos_proj > decoder.layers.#.encoder_attn.q_pos_proj
    rename decoder.layers.#.ca_kcontent_proj > decoder.layers.#.encoder_attn.k_content_proj
    rename decoder.layers.#.ca_kpos_proj > decoder.layers.#.encoder_attn.k_pos_proj
    rename decoder.layers.#.ca_v_proj > decoder.layers.#.encoder_attn.v_proj
    rename decoder.layers.#.ca_qpos_sine_proj > decoder.layers.#.encoder_attn.q_pos_sine_proj
    family DetrModel MaskFormerDetrDecoder
    rename backbone.conv_encoder > backbone
    rename out_proj > o_proj
    rename layers.#.fc1 > layers.#.mlp.fc1
    rename layers.#.fc2 > layers.#.mlp.fc2
    family Dinov2Backbone Dinov2Model Dinov2WithRegistersBackbone Dinov2WithRegistersModel
    rename attention.attention.query > attention.q_proj
    rename attention.attention.key > attention.k_proj
    rename attention.attention.value > attention.v_proj
    rename attention.output.dense > attention.o_proj
    part 0 mlp.weights_in.weight > mlp.gate_proj.weight + mlp.up_proj.weight
    part 0 mlp.weights_in.bias > mlp.gate_proj.bias + mlp.up_proj.bias
    rename mlp.weights_out > mlp.down_proj
    family Dots3NoteForConditionalGeneration
    rename ^audio_encoder.audio_adapter. > audio_adapter.
    rename ^vision_encoder. > model.vision_encoder.
    rename ^audio_encoder. > model.audio_encoder.
    rename ^audio_adapter. > model.audio_adapter.
    family Dots3NoteModel
    rename ^model.* > *
    rename ^embed_tokens. > language_model.embed_tokens.
    rename ^layers. > language_model.layers.
    rename ^norm. > language_model.norm.
    rename ^vision_encoder. > vision_tower.
    rename ^audio_encoder. > audio_tower.
    rename ^audio_adapter. > audio_tower.audio_adapter.
    family Dots3NoteTextModel UnlimitedOcrTextModel afmoe beam cohere2_moe deepseek_v2 deepseek_v3 deepseek_v32 dots1 flex_olmo glm4_moe glm4_moe_lite glm4v_moe glm_moe_dsa hunyuan_v1_moe longcat_flash mellum olmoe qwen2_moe qwen3_moe qwen3_next qwen3_omni_moe qwen3_omni_moe_text qwen3_omni_moe_thinker sarvam_mla solar_open
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    family Emu3Model
    rename ^text_model.model > text_model
    family GPTNeoXForCausalLM
    rename ^embed_out. > lm_head.
    family MimiDecoderModel
    rename ^decoder.layers > decoder_seanet.layers
    family MimiEncoderModel
    rename ^encoder.layers > encoder_seanet.layers
    family MimiModel
    rename ^encoder.layers > encoder.encoder.layers
    rename ^encoder_transformer. > encoder.encoder_transformer.
    rename ^downsample. > encoder.downsample.
    rename ^upsample. > decoder.upsample.
    rename ^decoder_transformer. > decoder.decoder_transformer.
    rename ^decoder.layers > decoder.decoder.layers
    family Molmo2TextModel
    rename .attn_norm. > .input_layernorm.
    rename .ff_norm. > .post_attention_layernorm.
    part 0 self_attn.att_proj > self_attn.q_proj + self_attn.k_proj + self_attn.v_proj
    rename self_attn.attn_out > self_attn.o_proj
    rename mlp.ff_out > mlp.down_proj
    part 0 mlp.ff_proj.weight > mlp.up_proj.weight + mlp.gate_proj.weight
    join 0 wte.embedding + wte.new_embedding > embed_tokens.weight
    family MtpModel
    rename ^model.* > *
    rename ^mtp.* > *
    rename .shared_head.norm. > .post_norm.
    rename .mtp_block.enorm. > .enorm.
    rename .mtp_block.hnorm. > .hnorm.
    rename .mtp_block.eh_proj. > .eh_proj.
    rename .mtp_block.post_norm. > .post_norm.
    rename .hidden_norm. > .hnorm.
    rename .embed_norm. > .enorm.
    rename .input_proj. > .eh_proj.
    rename ^chain_norm. > shared_post_norm.
    rename layers.#.transformer_block. > layers.#.mtp_block.
    rename ^layers.#.{!mtp_block.|enorm.|hnorm.|eh_proj.|post_norm.} > layers.#.mtp_block.
    rename ^fc. > layers.0.eh_proj.
    rename ^pre_fc_norm_embedding. > layers.0.enorm.
    rename ^pre_fc_norm_hidden. > layers.0.hnorm.
    rename ^norm. > layers.0.post_norm.
    family NemotronH_Omni_Reasoning_V3
    rename ^mlp1.0. > multi_modal_projector.layer_norm.
    rename ^mlp1.1. > multi_modal_projector.linear_1.
    rename ^mlp1.3. > multi_modal_projector.linear_2.
    rename ^vision_projector.vision_final_layernorm. > vision_final_layernorm.
    rename ^sound_encoder.encoder. > audio_tower.
    rename ^sound_projection.norm. > embed_audio.layer_norm.
    rename ^sound_projection.linear1. > embed_audio.linear_1.
    rename ^sound_projection.linear2. > embed_audio.linear_2.
    family Qwen2VLForConditionalGeneration Qwen2_5_VLForConditionalGeneration
    rename ^visual > model.visual
    rename ^model{!.language_model|.visual} > model.language_model
    family Qwen2VLModel Qwen2_5_VLModel
    rename ^model.{!language_model.}* > model.language_model.*
    family Qwen2_5OmniThinkerForConditionalGeneration Qwen3OmniMoeThinkerForConditionalGeneration qwen2_5_omni_thinker
    rename ^thinker.* > *
    rename ^audio_tower > model.audio_tower
    rename ^visual > model.visual
    rename ^model{!.language_model|.visual|.audio_tower} > model.language_model
    family Qwen2_5OmniThinkerModel Qwen3OmniMoeThinkerModel
    rename ^thinker.* > *
    rename ^model.{!language_model.}* > model.language_model.*
    family RfDetrForInstanceSegmentation
    rename ^{!segmentation_head} > model.
    rename segmentation_head.query_features_block.layers.0 > query_features_block.mlp.fc1
    rename segmentation_head.query_features_block.layers.2 > query_features_block.mlp.fc2
    rename segmentation_head.query_features_block.norm_in > query_features_block.norm
    rename segmentation_head.blocks.#.norm > blocks.#.layernorm
    rename segmentation_head.blocks.#.dwconv > blocks.#.depthwise_conv
    rename segmentation_head.blocks.#.pwconv1 > blocks.#.pointwise_conv
    rename segmentation_head.spatial_features_proj > spatial_features_proj
    rename segmentation_head.query_features_proj > query_features_proj
    rename segmentation_head.bias > segmentation_bias
    family RfDetrForObjectDetection
    rename ^ > model.
    family RfDetrModel
    rename backbone.0.encoder.encoder > backbone.backbone
    rename backbone.0.projector > backbone.projector
    rename projector.stages.0.0.cv1.conv > projector.projector_layer.conv1.conv
    rename projector.stages.0.0.cv1.bn > projector.projector_layer.conv1.norm
    rename projector.stages.0.0.cv2.conv > projector.projector_layer.conv2.conv
    rename projector.stages.0.0.cv2.bn > projector.projector_layer.conv2.norm
    rename projector.stages.0.1 > projector.layer_norm
    rename projector.stages.0.0.m.#.cv1.conv > projector.projector_layer.bottlenecks.#.conv1.conv
    rename projector.stages.0.0.m.#.cv1.bn > projector.projector_layer.bottlenecks.#.conv1.norm
    rename projector.stages.0.0.m.#.cv2.conv > projector.projector_layer.bottlenecks.#.conv2.conv
    rename projector.stages.0.0.m.#.cv2.bn > projector.projector_layer.bottlenecks.#.conv2.norm
    rename transformer.decoder > decoder
    rename decoder.layers.#.norm1 > decoder.layers.#.self_attn_layer_norm
    rename decoder.layers.#.norm2 > decoder.layers.#.cross_attn_layer_norm
    rename decoder.layers.#.linear1 > decoder.layers.#.mlp.fc1
    rename decoder.layers.#.linear2 > decoder.layers.#.mlp.fc2
    rename decoder.layers.#.norm3 > decoder.layers.#.layer_norm
    rename decoder.norm > decoder.layernorm
    rename ^transformer.enc_output_norm > enc_output_norm
    rename ^transformer.enc_output > enc_output
    rename transformer.enc_out_class_embed > enc_out_class_embed
    rename transformer.enc_out_bbox_embed > enc_out_bbox_embed
    rename refpoint_embed.weight > reference_point_embed.weight
    rename attention.attention.query > attention.q_proj
    rename attention.attention.key > attention.k_proj
    rename attention.attention.value > attention.v_proj
    rename attention.output.dense > attention.o_proj
    rename self_attn.out_proj > self_attn.o_proj
    part 0 self_attn.in_proj_bias > self_attn.q_proj.bias + self_attn.k_proj.bias + self_attn.v_proj.bias
    part 0 self_attn.in_proj_weight > self_attn.q_proj.weight + self_attn.k_proj.weight + self_attn.v_proj.weight
    family Sapiens2ForImageMatting
    rename ^backbone. > model.
    rename decode_head.input_conv.0.weight > decode_head.input_conv.convolution.weight
    rename decode_head.input_conv.0.bias > decode_head.input_conv.convolution.bias
    rename decode_head.upsample_blocks.#.0.weight > decode_head.upsample_layers.#.convolution.weight
    rename decode_head.upsample_blocks.#.0.bias > decode_head.upsample_layers.#.convolution.bias
    rename decode_head.conv_layers.0.weight > decode_head.conv_layers.0.convolution.weight
    rename decode_head.conv_layers.0.bias > decode_head.conv_layers.0.convolution.bias
    rename decode_head.conv_layers.3.weight > decode_head.conv_layers.1.convolution.weight
    rename decode_head.conv_layers.3.bias > decode_head.conv_layers.1.convolution.bias
    rename decode_head.conv_layers.6.weight > decode_head.conv_layers.2.convolution.weight
    rename decode_head.conv_layers.6.bias > decode_head.conv_layers.2.convolution.bias
    rename decode_head.conv_matting. > decode_head.predictor.
    family Sapiens2ForNormalEstimation
    rename ^backbone. > model.
    rename decode_head.input_conv.0.weight > decode_head.input_conv.convolution.weight
    rename decode_head.input_conv.0.bias > decode_head.input_conv.convolution.bias
    rename decode_head.upsample_blocks.#.0.weight > decode_head.upsample_layers.#.convolution.weight
    rename decode_head.upsample_blocks.#.0.bias > decode_head.upsample_layers.#.convolution.bias
    rename decode_head.conv_layers.0.weight > decode_head.conv_layers.0.convolution.weight
    rename decode_head.conv_layers.0.bias > decode_head.conv_layers.0.convolution.bias
    rename decode_head.conv_layers.3.weight > decode_head.conv_layers.1.convolution.weight
    rename decode_head.conv_layers.3.bias > decode_head.conv_layers.1.convolution.bias
    rename decode_head.conv_layers.6.weight > decode_head.conv_layers.2.convolution.weight
    rename decode_head.conv_layers.6.bias > decode_head.conv_layers.2.convolution.bias
    rename decode_head.conv_normal. > decode_head.predictor.
    family Sapiens2ForPointmapEstimation
    rename ^backbone. > model.
    rename decode_head.input_conv.0.weight > decode_head.input_conv.convolution.weight
    rename decode_head.input_conv.0.bias > decode_head.input_conv.convolution.bias
    rename decode_head.upsample_blocks.#.0.weight > decode_head.upsample_layers.#.convolution.weight
    rename decode_head.upsample_blocks.#.0.bias > decode_head.upsample_layers.#.convolution.bias
    rename decode_head.conv_layers.0.weight > decode_head.conv_layers.0.convolution.weight
    rename decode_head.conv_layers.0.bias > decode_head.conv_layers.0.convolution.bias
    rename decode_head.conv_layers.3.weight > decode_head.conv_layers.1.convolution.weight
    rename decode_head.conv_layers.3.bias > decode_head.conv_layers.1.convolution.bias
    rename decode_head.conv_layers.6.weight > decode_head.conv_layers.2.convolution.weight
    rename decode_head.conv_layers.6.bias > decode_head.conv_layers.2.convolution.bias
    rename decode_head.conv_pointmap. > decode_head.predictor.
    rename decode_head.scale_conv_layers.0.weight > scale_head.conv_layers.0.convolution.weight
    rename decode_head.scale_conv_layers.0.bias > scale_head.conv_layers.0.convolution.bias
    rename decode_head.scale_conv_layers.3.weight > scale_head.conv_layers.1.convolution.weight
    rename decode_head.scale_conv_layers.3.bias > scale_head.conv_layers.1.convolution.bias
    rename decode_head.scale_conv_layers.6.weight > scale_head.conv_layers.2.convolution.weight
    rename decode_head.scale_conv_layers.6.bias > scale_head.conv_layers.2.convolution.bias
    rename decode_head.scale_final_layer.1. > scale_head.predictor.block1.layers.0.
    rename decode_head.scale_final_layer.3. > scale_head.predictor.block2.layers.0.
    rename decode_head.scale_final_layer.5. > scale_head.predictor.proj.
    family Sapiens2ForPoseEstimation
    rename ^backbone. > model.
    rename decode_head.deconv_layers.0.weight > decode_head.upsample_layers.0.convolution.weight
    rename decode_head.deconv_layers.3.weight > decode_head.upsample_layers.1.convolution.weight
    rename decode_head.conv_layers.0.weight > decode_head.conv_layers.0.convolution.weight
    rename decode_head.conv_layers.0.bias > decode_head.conv_layers.0.convolution.bias
    rename decode_head.conv_layers.3.weight > decode_head.conv_layers.1.convolution.weight
    rename decode_head.conv_layers.3.bias > decode_head.conv_layers.1.convolution.bias
    rename decode_head.conv_layers.6.weight > decode_head.conv_layers.2.convolution.weight
    rename decode_head.conv_layers.6.bias > decode_head.conv_layers.2.convolution.bias
    rename decode_head.conv_pose. > decode_head.predictor.
    family Sapiens2ForSemanticSegmentation
    rename ^backbone. > model.
    rename decode_head.deconv_layers.0.weight > decode_head.upsample_layers.0.convolution.weight
    rename decode_head.deconv_layers.3.weight > decode_head.upsample_layers.1.convolution.weight
    rename decode_head.deconv_layers.6.weight > decode_head.upsample_layers.2.convolution.weight
    rename decode_head.deconv_layers.9.weight > decode_head.upsample_layers.3.convolution.weight
    rename decode_head.conv_layers.0.weight > decode_head.conv_layers.0.convolution.weight
    rename decode_head.conv_layers.0.bias > decode_head.conv_layers.0.convolution.bias
    rename decode_head.conv_layers.3.weight > decode_head.conv_layers.1.convolution.weight
    rename decode_head.conv_layers.3.bias > decode_head.conv_layers.1.convolution.bias
    rename decode_head.conv_seg. > decode_head.predictor.
    family SegformerForSemanticSegmentation
    rename decode_head.linear_c > decode_head.linear_projections
    family SegformerModel
    rename encoder.patch_embeddings.#. > stages.#.patch_embeddings.
    rename encoder.block.#. > stages.#.blocks.
    rename encoder.layer_norm.# > stages.#.layer_norm
    rename attention.self.query > attention.q_proj
    rename attention.self.key > attention.k_proj
    rename attention.self.value > attention.v_proj
    rename attention.self.sr > attention.sequence_reduction.sequence_reduction
    rename attention.self.layer_norm > attention.sequence_reduction.layer_norm
    rename attention.output.dense > attention.o_proj
    rename mlp.dense1 > mlp.fc1
    rename mlp.dense2 > mlp.fc2
    rename layer_norm_1 > layernorm_before
    rename layer_norm_2 > layernorm_after
    family SwinBackbone
    rename ^encoder. > swin.encoder.
    rename ^embeddings. > swin.embeddings.
    family Tipsv2DptForDepthEstimation
    rename vision_encoder > backbone
    rename depth_head.reassemble.readout_projects.# > neck.reassemble_stage.readout_projects.#.layers.0
    rename depth_head.reassemble.out_projections.#. > neck.reassemble_stage.layers.#.projection.
    rename depth_head.reassemble.resize_layers.#. > neck.reassemble_stage.layers.#.resize.
    rename depth_head.fusion_blocks.#.out_conv. > neck.fusion_stage.layers.#.projection.
    rename depth_head.fusion_blocks.#.main_unit.conv1. > neck.fusion_stage.layers.#.residual_layer2.convolution1.
    rename depth_head.fusion_blocks.#.main_unit.conv2. > neck.fusion_stage.layers.#.residual_layer2.convolution2.
    rename depth_head.fusion_blocks.#.residual_unit.conv1. > neck.fusion_stage.layers.#.residual_layer1.convolution1.
    rename depth_head.fusion_blocks.#.residual_unit.conv2. > neck.fusion_stage.layers.#.residual_layer1.convolution2.
    rename depth_head.convs > neck.convs
    rename depth_head.project > decoder.project
    rename depth_head.depth_head. > decoder.head.
    family Tipsv2DptForNormalEstimation
    rename vision_encoder > backbone
    rename normals_head.reassemble.readout_projects.# > neck.reassemble_stage.readout_projects.#.layers.0
    rename normals_head.reassemble.out_projections.#. > neck.reassemble_stage.layers.#.projection.
    rename normals_head.reassemble.resize_layers.#. > neck.reassemble_stage.layers.#.resize.
    rename normals_head.fusion_blocks.#.out_conv. > neck.fusion_stage.layers.#.projection.
    rename normals_head.fusion_blocks.#.main_unit.conv1. > neck.fusion_stage.layers.#.residual_layer2.convolution1.
    rename normals_head.fusion_blocks.#.main_unit.conv2. > neck.fusion_stage.layers.#.residual_layer2.convolution2.
    rename normals_head.fusion_blocks.#.residual_unit.conv1. > neck.fusion_stage.layers.#.residual_layer1.convolution1.
    rename normals_head.fusion_blocks.#.residual_unit.conv2. > neck.fusion_stage.layers.#.residual_layer1.convolution2.
    rename normals_head.convs > neck.convs
    rename normals_head.project > decoder.project
    rename normals_head.normals_head. > decoder.head.
    family Tipsv2DptForSemanticSegmentation
    rename vision_encoder > backbone
    rename segmentation_head.reassemble.readout_projects.# > neck.reassemble_stage.readout_projects.#.layers.0
    rename segmentation_head.reassemble.out_projections.#. > neck.reassemble_stage.layers.#.projection.
    rename segmentation_head.reassemble.resize_layers.#. > neck.reassemble_stage.layers.#.resize.
    rename segmentation_head.fusion_blocks.#.out_conv. > neck.fusion_stage.layers.#.projection.
    rename segmentation_head.fusion_blocks.#.main_unit.conv1. > neck.fusion_stage.layers.#.residual_layer2.convolution1.
    rename segmentation_head.fusion_blocks.#.main_unit.conv2. > neck.fusion_stage.layers.#.residual_layer2.convolution2.
    rename segmentation_head.fusion_blocks.#.residual_unit.conv1. > neck.fusion_stage.layers.#.residual_layer1.convolution1.
    rename segmentation_head.fusion_blocks.#.residual_unit.conv2. > neck.fusion_stage.layers.#.residual_layer1.convolution2.
    rename segmentation_head.convs > neck.convs
    rename segmentation_head.project > decoder.project
    rename segmentation_head.segmentation_head. > decoder.head.
    family Tipsv2TextModel
    rename ^text_encoder.* > *
    rename ln_final. > final_layer_norm.
    rename token_embedding. > embeddings.token_embedding.
    rename transformer.resblocks. > encoder.layers.
    rename .ln_1. > .layer_norm1.
    rename .ln_2. > .layer_norm2.
    rename .attn. > .self_attn.
    rename .mlp.c_fc. > .mlp.fc1.
    rename .mlp.c_proj. > .mlp.fc2.
    part 0 .in_proj_weight > .q_proj.weight + .k_proj.weight + .v_proj.weight
    part 0 .in_proj_bias > .q_proj.bias + .k_proj.bias + .v_proj.bias
    family Tipsv2VisionBackbone Tipsv2VisionModel
    rename ^vision_encoder.* > *
    rename patch_embed.proj. > embeddings.patch_embeddings.projection.
    rename cls_token > embeddings.cls_token
    rename mask_token > embeddings.mask_token
    rename register_tokens > embeddings.register_tokens
    rename pos_embed > embeddings.position_embeddings
    rename norm. > layernorm.
    rename blocks. > encoder.layer.
    rename .attn.proj. > .attention.o_proj.
    rename .ls1.gamma > .layer_scale1.lambda1
    rename .ls2.gamma > .layer_scale2.lambda1
    rename .mlp.c_fc. > .mlp.fc1.
    rename .mlp.c_proj. > .mlp.fc2.
    rename .mlp.w3. > .mlp.down_proj.
    part 0 .mlp.w12.weight > .mlp.gate_proj.weight + .mlp.up_proj.weight
    part 0 .mlp.w12.bias > .mlp.gate_proj.bias + .mlp.up_proj.bias
    part 0 .attn.qkv.weight > .attention.q_proj.weight + .attention.k_proj.weight + .attention.v_proj.weight
    part 0 .attn.qkv.bias > .attention.q_proj.bias + .attention.k_proj.bias + .attention.v_proj.bias
    family UltraVBertForMaskedLM
    rename ^head.decoder. > lm_head.
    rename ^head. > projection_head.
    family UltrabertForMaskedLM
    rename ^ultrabert. > model.
    rename ^cls. > head.decoder.
    family UltrabertForQuestionAnswering UltrabertForSequenceClassification UltrabertForTokenClassification
    rename ^ultrabert. > model.
    family UltrabertModel
    rename ^ultrabert.* > *
    family UnlimitedOcrSamVisionEncoder
    rename blocks.#.norm1. > layers.#.layer_norm1.
    rename blocks.#.norm2. > layers.#.layer_norm2.
    rename blocks.#.attn. > layers.#.attn.
    rename blocks.#.mlp. > layers.#.mlp.
    rename patch_embed.proj. > patch_embed.projection.
    rename neck.0. > neck.conv1.
    rename neck.1. > neck.layer_norm1.
    rename neck.2. > neck.conv2.
    rename neck.3. > neck.layer_norm2.
    rename net_2. > proj.conv1.
    rename net_3. > proj.conv2.
    family UnlimitedOcrVisionEncoder
    rename transformer > encoder
    part 0 qkv_proj.weight > q_proj.weight + k_proj.weight + v_proj.weight
    part 0 qkv_proj.bias > q_proj.bias + k_proj.bias + v_proj.bias
    family ViTMAEForPreTraining
    rename attention.query > q_proj
    rename attention.key > k_proj
    rename attention.value > v_proj
    rename attention.output.dense > attention.o_proj
    rename intermediate.dense > mlp.fc1
    rename output.dense > mlp.fc2
    family ViTMSNForImageClassification
    rename ^encoder. > vit.encoder.
    family altclip
    rename layer. > layers.
    family apertus1p5_text gemma3n_text qwen3_5_text
    rename ^model.language_model.* > model.*
    family aria aya_vision gemma3 got_ocr2 internvl llava mistral3 paligemma pp_chart2table vipllava
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^vision_tower > model.vision_tower
    rename ^multi_modal_projector > model.multi_modal_projector
    family aria_text
    rename mlp.experts.fc1.weight > mlp.experts.gate_up_proj
    rename mlp.experts.fc2.weight > mlp.experts.down_proj
    family audioflamingo3 glmasr musicflamingo qwen2_audio voxtral voxtral_realtime
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^audio_tower > model.audio_tower
    rename ^multi_modal_projector > model.multi_modal_projector
    family axk1
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename post_mlp_layernorm > mlp.post_mlp_layernorm
    family axk2
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename W_down > mlp.fc1
    rename W_up > mlp.fc2
    rename self_attn.q_b_proj. > self_attn.q_gate_proj.
    family bailing_hybrid
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename ^model.word_embeddings. > model.embed_tokens.
    rename .attention. > .self_attn.
    rename self_attn.f_proj. > self_attn.forget_gate.f_proj.
    rename self_attn.dt_bias > self_attn.forget_gate.dt_bias
    rename self_attn.A_log > self_attn.forget_gate.A_log
    join 0 q_conv1d.weight + k_conv1d.weight + v_conv1d.weight > conv1d.weight
    rename .self_attn.dense. > .self_attn.o_proj.
    rename .mlp.gate.expert_bias > .mlp.gate.e_score_correction_bias
    family cohere_asr
    rename encoder.pre_encode.conv. > encoder.subsampling.layers.
    rename encoder.pre_encode.out. > encoder.subsampling.linear.
    rename transf_decoder._embedding.position_embedding.pos_enc > decoder.pos_emb.weight
    rename transf_decoder._embedding.token_embedding > decoder.embed_tokens
    rename transf_decoder._embedding.layer_norm > decoder.embedding_layernorm
    rename transf_decoder._decoder.final_layer_norm > decoder.norm
    rename transf_decoder._decoder.layers > decoder.layers
    rename encoder_decoder_proj. > decoder.proj.
    rename encoder.*.self_attn.linear_q > encoder.*.self_attn.q_proj
    rename encoder.*.self_attn.linear_k > encoder.*.self_attn.k_proj
    rename encoder.*.self_attn.linear_v > encoder.*.self_attn.v_proj
    rename encoder.*.self_attn.linear_out > encoder.*.self_attn.o_proj
    rename encoder.*.self_attn.linear_pos > encoder.*.self_attn.relative_k_proj
    rename encoder.*.self_attn.pos_bias_u > encoder.*.self_attn.bias_u
    rename encoder.*.self_attn.pos_bias_v > encoder.*.self_attn.bias_v
    rename decoder.*.first_sub_layer.query_net > decoder.*.self_attn.q_proj
    rename decoder.*.first_sub_layer.key_net > decoder.*.self_attn.k_proj
    rename decoder.*.first_sub_layer.value_net > decoder.*.self_attn.v_proj
    rename decoder.*.first_sub_layer.out_projection > decoder.*.self_attn.o_proj
    rename .second_sub_layer.query_net > .encoder_attn.q_proj
    rename .second_sub_layer.key_net > .encoder_attn.k_proj
    rename .second_sub_layer.value_net > .encoder_attn.v_proj
    rename .second_sub_layer.out_projection > .encoder_attn.o_proj
    rename .third_sub_layer.dense_in > .mlp.fc1
    rename .third_sub_layer.dense_out > .mlp.fc2
    rename .layer_norm_1. > .input_layernorm.
    rename .layer_norm_2. > .post_attention_layernorm.
    rename .layer_norm_3. > .final_layernorm.
    rename .conv.batch_norm > .conv.norm
    rename log_softmax.mlp.layer0 > proj_out
    family colqwen2
    rename ^vlm.model.* > vlm.*
    family cosmos3_edge
    rename ^embed_tokens. > model.language_model.embed_tokens.
    rename ^norm. > model.language_model.norm.
    rename ^layers. > model.language_model.layers.
    rename .self_attn.to_q. > .self_attn.q_proj.
    rename .self_attn.to_k. > .self_attn.k_proj.
    rename .self_attn.to_v. > .self_attn.v_proj.
    rename .self_attn.to_out. > .self_attn.o_proj.
    rename .mlp.up_proj. > .mlp.fc1.
    rename .mlp.down_proj. > .mlp.fc2.
    family cosmos3_omni
    rename ^layers. > model.language_model.layers.
    rename ^embed_tokens. > model.language_model.embed_tokens.
    rename ^norm. > model.language_model.norm.
    rename ^blocks. > model.visual.blocks.
    rename ^merger. > model.visual.merger.
    rename ^patch_embed. > model.visual.patch_embed.
    rename ^pos_embed. > model.visual.pos_embed.
    rename ^deepstack_merger_list. > model.visual.deepstack_merger_list.
    rename .self_attn.to_q. > .self_attn.q_proj.
    rename .self_attn.to_k. > .self_attn.k_proj.
    rename .self_attn.to_v. > .self_attn.v_proj.
    rename .self_attn.to_out. > .self_attn.o_proj.
    rename .self_attn.norm_q. > .self_attn.q_norm.
    rename .self_attn.norm_k. > .self_attn.k_norm.
    family d_fine
    rename out_proj > o_proj
    rename layers.#.fc1 > layers.#.mlp.layers.0
    rename layers.#.fc2 > layers.#.mlp.layers.1
    rename encoder.encoder.#.layers > encoder.aifi.#.layers
    family deepseek_ocr2
    rename sam_model.blocks.#.norm1. > vision_tower.sam_encoder.layers.#.layer_norm1.
    rename sam_model.blocks.#.norm2. > vision_tower.sam_encoder.layers.#.layer_norm2.
    rename sam_model.blocks.#.attn. > vision_tower.sam_encoder.layers.#.attn.
    rename sam_model.blocks.#.mlp. > vision_tower.sam_encoder.layers.#.mlp.
    rename sam_model.patch_embed.proj. > vision_tower.sam_encoder.patch_embed.projection.
    rename sam_model.pos_embed > vision_tower.sam_encoder.pos_embed
    rename sam_model.neck.0. > vision_tower.sam_encoder.neck.conv1.
    rename sam_model.neck.1. > vision_tower.sam_encoder.neck.layer_norm1.
    rename sam_model.neck.2. > vision_tower.sam_encoder.neck.conv2.
    rename sam_model.neck.3. > vision_tower.sam_encoder.neck.layer_norm2.
    rename sam_model.net_2. > vision_tower.sam_encoder.proj.conv1.
    rename sam_model.net_3. > vision_tower.sam_encoder.proj.conv2.
    rename qwen2_model.model.model.layers. > vision_tower.vision_encoder.layers.
    rename qwen2_model.model.model.norm. > vision_tower.vision_encoder.norm.
    rename qwen2_model.query_768. > vision_tower.query_768_resolution.
    rename qwen2_model.query_1024. > vision_tower.query_1024_resolution.
    rename projector.layers. > multi_modal_projector.
    rename view_seperator > view_separator
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    family deepseek_v4
    rename .attn. > .self_attn.
    rename .ffn. > .mlp.
    rename .indexer.compressor. > .compressor.indexer.
    rename ^embed.weight > embed_tokens.weight
    rename ^head.weight > lm_head.weight
    rename ^hc_head_fn > hc_head.hc_fn
    rename ^hc_head_base > hc_head.hc_base
    rename ^hc_head_scale > hc_head.hc_scale
    rename .attn_norm. > .input_layernorm.
    rename .ffn_norm. > .post_attention_layernorm.
    rename .hc_attn_fn > .attn_hc.fn
    rename .hc_attn_base > .attn_hc.base
    rename .hc_attn_scale > .attn_hc.scale
    rename .hc_ffn_fn > .ffn_hc.fn
    rename .hc_ffn_base > .ffn_hc.base
    rename .hc_ffn_scale > .ffn_hc.scale
    rename .attn_sink > .sinks
    rename .indexer.weights_proj. > .compressor.indexer.scorer.weights_proj.
    rename .indexer.wq_b. > .compressor.indexer.q_b_proj.
    rename .norm. > .kv_norm.
    rename .ape > .position_bias
    rename .wq_a. > .q_a_proj.
    rename .self_attn.wq_b. > .self_attn.q_b_proj.
    rename .wkv. > .kv_proj.
    rename .wgate. > .gate_proj.
    rename .wo_a. > .o_a_proj.
    rename .wo_b. > .o_b_proj.
    rename .q_norm. > .q_a_norm.
    rename .gate.bias > .gate.e_score_correction_bias
    rename .shared_experts.w1. > .shared_experts.gate_proj.
    rename .shared_experts.w2. > .shared_experts.down_proj.
    rename .shared_experts.w3. > .shared_experts.up_proj.
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    family deformable_detr
    rename backbone.conv_encoder > backbone
    rename self_attn.out_proj > self_attn.o_proj
    rename layers.#.fc1 > layers.#.mlp.fc1
    rename layers.#.fc2 > layers.#.mlp.fc2
    family dinov3_convnext
    rename {<model.}stages > model.stages
    family dinov3_vit
    rename {<model.}layer. > model.layer.
    family dory
    rename .self_attn.g_proj. > .self_attn.gate_proj.
    rename ^backbone. > model.
    rename .embeddings. > .embed_tokens.
    family dots3_note_audio_encoder
    rename ^audio_adapter. > adapter.
    rename ^adapter.proj.0. > adapter.norm.
    rename ^adapter.proj.1. > adapter.fc1.
    rename ^adapter.proj.3. > adapter.fc2.
    rename dots_encoder.speech_encoder. > speech_encoder.
    rename speech_encoder.conv2d1. > speech_encoder.conv_stem.conv2d1.
    rename speech_encoder.conv2d2. > speech_encoder.conv_stem.conv2d2.
    rename speech_encoder.conv2d3. > speech_encoder.conv_stem.conv2d3.
    rename speech_encoder.conv_out. > speech_encoder.conv_stem.conv_out.
    rename conv_stem.conv2d1. > conv_stem.convs.0.
    rename conv_stem.conv2d2. > conv_stem.convs.1.
    rename conv_stem.conv2d3. > conv_stem.convs.2.
    rename speech_encoder.layers.#.self_attn.out_proj. > speech_encoder.layers.#.self_attn.o_proj.
    rename .self_attn_layer_norm. > .input_layernorm.
    rename .final_layer_norm. > .post_attention_layernorm.
    rename speech_encoder.layers.#.fc1. > speech_encoder.layers.#.mlp.gate_up_proj.
    rename speech_encoder.layers.#.fc2. > speech_encoder.layers.#.mlp.down_proj.
    rename ^speech_encoder.conv_stem. > conv_stem.
    rename ^speech_encoder.layers. > layers.
    rename ^speech_encoder.layer_norm. > layer_norm.
    family dots3_note_vision_encoder
    rename ^post_trunk_norm. > norm.
    rename ^adapter. > merger.
    rename blocks.#.norm_1. > blocks.#.norm1.
    rename blocks.#.norm_2. > blocks.#.norm2.
    rename blocks.#.mlp.fc1. > blocks.#.mlp.gate_proj.
    rename blocks.#.mlp.fc2. > blocks.#.mlp.down_proj.
    rename blocks.#.mlp.fc3. > blocks.#.mlp.up_proj.
    rename .mlp.gate_weight > .mlp.gate.weight
    rename .mlp.router_bias > .mlp.e_score_correction_bias
    stack 0 .mlp.experts.#.fc1.weight + .mlp.experts.#.fc3.weight > .mlp.experts.gate_up_proj
    stack 0 .mlp.experts.#.fc2.weight > .mlp.experts.down_proj
    family emu3
    rename ^text_model.lm_head > lm_head
    rename ^text_model > model.text_model
    rename ^vqmodel > model.vqmodel
    family ernie4_5_moe
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename mlp.moe_statics.e_score_correction_bias > mlp.gate.moe_statics.e_score_correction_bias
    family ernie4_5_vl_moe
    rename vision_model > vision_tower
    rename spatial_linear.0 > spatial_linear.fc1
    rename spatial_linear.2 > spatial_linear.fc2
    rename spatial_linear.3 > spatial_linear.ln
    rename temporal_linear.0 > temporal_linear.fc1
    rename temporal_linear.2 > temporal_linear.fc2
    rename temporal_linear.3 > temporal_linear.ln
    rename {<language_model.}embed_tokens > language_model.embed_tokens
    rename {<language_model.}layers > language_model.layers
    part 0 mlp.moe_statics.e_score_correction_bias > mlp.text_moe.gate.moe_statics.e_score_correction_bias + mlp.vision_moe.gate.moe_statics.e_score_correction_bias
    family esm
    rename encoder.layer.*.attention.self.rotary_embeddings.inv_freq > rotary_embeddings.inv_freq
    rename LayerNorm.gamma > LayerNorm.weight
    rename LayerNorm.beta > LayerNorm.bias
    family exaone
    rename ^transformer.wte. > model.embed_tokens.
    rename ^transformer.h. > model.layers.
    rename ^transformer.ln_f. > model.norm.
    rename .attn.attention. > .self_attn.
    rename .self_attn.out_proj. > .self_attn.o_proj.
    rename .ln_1. > .input_layernorm.
    rename .ln_2. > .post_attention_layernorm.
    rename .mlp.c_fc_0. > .mlp.gate_proj.
    rename .mlp.c_fc_1. > .mlp.up_proj.
    rename .mlp.c_proj. > .mlp.down_proj.
    family exaone_moe
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename mlp.e_score_correction_bias > mlp.gate.e_score_correction_bias
    family flint
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename self_attn.softmax_offset > self_attn.sinks
    family fuyu
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^vision_embed_tokens > model.vision_embed_tokens
    family gemma4_unified
    rename vision_embedder.patch_ln1 > embed_vision.patch_ln1
    rename vision_embedder.patch_dense > embed_vision.patch_dense
    rename vision_embedder.patch_ln2 > embed_vision.patch_ln2
    rename vision_embedder.pos_embedding > embed_vision.pos_embedding
    rename vision_embedder.pos_norm > embed_vision.pos_norm
    rename embed_vision.embedding_projection > embed_vision.multimodal_embedder.embedding_projection
    family glm5_next glm5_next_text
    rename self_attn.f_a_proj. > self_attn.forget_gate.f_a_proj.
    rename self_attn.f_b_proj. > self_attn.forget_gate.f_b_proj.
    rename self_attn.dt_bias > self_attn.forget_gate.dt_bias
    rename self_attn.A_log > self_attn.forget_gate.A_log
    rename hc_attn_fn > attn_hc.fn
    rename hc_attn_base > attn_hc.base
    rename hc_attn_scale > attn_hc.scale
    rename hc_ffn_fn > ffn_hc.fn
    rename hc_ffn_base > ffn_hc.base
    rename hc_ffn_scale > ffn_hc.scale
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    join 0 self_attn.q_conv1d.weight + self_attn.k_conv1d.weight + self_attn.v_conv1d.weight > self_attn.conv1d.weight
    family gradium_phonon_tts
    rename ^flow_lm.condition_provider.conditioners.transcript_in_segment.embed. > model.embed_tokens.
    rename ^flow_lm.condition_provider.conditioners.speaker_wavs.output_proj. > model.audio_prompt_proj.
    rename ^flow_lm.condition_provider.conditioners.num_speakers.embed. > model.num_speakers_embed.
    rename ^flow_lm.condition_provider.conditioners.num_speakers.output_proj. > model.num_speakers_proj.
    rename ^flow_lm.condition_provider.conditioners.duration_delta.output_proj. > model.duration_delta_proj.
    rename ^flow_lm.input_linear. > model.audio_latent_proj.
    rename ^flow_lm.bos_emb > model.bos_latent
    rename ^flow_lm.emb_mean > latent_mean
    rename ^flow_lm.emb_std > latent_std
    rename ^flow_lm.out_norm. > model.norm.
    rename ^flow_lm.out_eos. > eos_head.
    rename ^flow_lm.transformer.layers.#.self_attn.in_proj. > model.layers.#.self_attn.in_proj.
    rename ^flow_lm.transformer.layers.#.self_attn.out_proj. > model.layers.#.self_attn.o_proj.
    rename ^flow_lm.transformer.layers.#.linear1. > model.layers.#.mlp.fc1.
    rename ^flow_lm.transformer.layers.#.linear2. > model.layers.#.mlp.fc2.
    rename ^flow_lm.transformer.layers.#.norm1. > model.layers.#.input_layernorm.
    rename ^flow_lm.transformer.layers.#.norm2. > model.layers.#.post_attention_layernorm.
    rename ^flow_lm.flow_net.time_embed.#.freqs > flow_head.timestep_embeddings.#.freqs
    rename ^flow_lm.flow_net.time_embed.#.mlp.0. > flow_head.timestep_embeddings.#.fc1.
    rename ^flow_lm.flow_net.time_embed.#.mlp.2. > flow_head.timestep_embeddings.#.fc2.
    rename ^flow_lm.flow_net.time_embed.#.mlp.3.alpha > flow_head.timestep_embeddings.#.norm.weight
    rename ^flow_lm.flow_net.cond_embed. > flow_head.cond_proj.
    rename ^flow_lm.flow_net.input_proj. > flow_head.input_proj.
    rename ^flow_lm.flow_net.res_blocks.#.in_ln. > flow_head.layers.#.norm.
    rename ^flow_lm.flow_net.res_blocks.#.mlp.0. > flow_head.layers.#.fc1.
    rename ^flow_lm.flow_net.res_blocks.#.mlp.2. > flow_head.layers.#.fc2.
    rename ^flow_lm.flow_net.res_blocks.#.adaLN_modulation.1. > flow_head.layers.#.adaln_proj.
    rename ^flow_lm.flow_net.final_layer.linear. > flow_head.final_layer.proj.
    rename ^flow_lm.flow_net.final_layer.adaLN_modulation.1. > flow_head.final_layer.adaln_proj.
    family granite_speech granite_speech_plus
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^encoder > model.encoder
    rename ^projector > model.projector
    family granitemoe granitemoehybrid granitemoeshared
    rename block_sparse_moe.input_linear.weight > block_sparse_moe.experts.gate_up_proj
    rename block_sparse_moe.output_linear.weight > block_sparse_moe.experts.down_proj
    rename block_sparse_moe.router.layer.weight > block_sparse_moe.router.weight
    family gte
    rename ^new.* > *
    rename encoder.layer > layers
    rename attention.o_proj > self_attn.o_proj
    rename attn_ln > post_attention_layernorm
    rename mlp_ln > post_mlp_layernorm
    rename lm_head.norm > lm_head.layer_norm
    part 0 attention.qkv_proj > self_attn.q_proj + self_attn.k_proj + self_attn.v_proj
    part 0 mlp.up_gate_proj > mlp.up_proj + mlp.gate_proj
    family hrm_text
    part 0 mlp.gate_up_proj.weight > mlp.gate_proj.weight + mlp.up_proj.weight
    part 0 attn.gqkv_proj.weight > self_attn.gate_proj.weight + self_attn.q_proj.weight + self_attn.k_proj.weight + self_attn.v_proj.weight
    rename .attn.o_proj. > .self_attn.o_proj.
    family hunyuan_vl
    rename mlp.dense_h_to_4h > mlp.fc1
    rename mlp.dense_4h_to_h > mlp.fc2
    rename ^vit.layers.#.input_layernorm. > vit.layers.#.layer_norm1.
    rename ^vit.layers.#.post_attention_layernorm. > vit.layers.#.layer_norm2.
    rename perceive.proj.0. > perceive.proj_conv.
    rename perceive.proj.2. > perceive.proj_out.
    rename perceive. > patch_merger.
    rename ^model{!.language_model|.vit|.vision_tower} > model.language_model
    rename ^model.vit > model.vision_tower
    rename ^vit > model.vision_tower
    family hy_v3
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename mlp.router.gate.weight > mlp.gate.weight
    rename mlp.expert_bias > mlp.e_score_correction_bias
    rename mlp.shared_mlp. > mlp.shared_experts.
    family hy_v4 hy_v4_vl_text
    rename .hc_pre.hc_ > .hc_
    rename .learnable_sink_param > .sinks
    rename .linear_gate > .gate_proj
    rename .hc_attn_layer.hc_fn > .attn_hc.fn
    rename .hc_attn_layer.hc_base > .attn_hc.base
    rename .hc_attn_layer.hc_scale > .attn_hc.scale
    rename .hc_mlp_layer.hc_fn > .ffn_hc.fn
    rename .hc_mlp_layer.hc_base > .ffn_hc.base
    rename .hc_mlp_layer.hc_scale > .ffn_hc.scale
    rename .hc_head_fn > .hc_fn
    rename .hc_head_base > .hc_base
    rename .hc_head_scale > .hc_scale
    family hy_v4_vl
    rename mlp.dense_h_to_4h > mlp.fc1
    rename mlp.dense_4h_to_h > mlp.fc2
    rename ^vit.layers.#.input_layernorm. > vit.layers.#.layer_norm1.
    rename ^vit.layers.#.post_attention_layernorm. > vit.layers.#.layer_norm2.
    rename perceive.norm. > perceive.before_rms.
    rename patch_merger.norm. > patch_merger.before_rms.
    rename perceive.proj.0. > perceive.proj_conv.
    rename perceive.proj.2. > perceive.proj_out.
    rename perceive. > patch_merger.
    rename ^model{!.language_model|.vit|.vision_tower} > model.language_model
    rename ^vit > model.vision_tower
    family hyperclovax_vision_v2
    rename ^model.language_model.lm_head > lm_head
    rename ^model.vision_projector > model.projector
    rename ^model.language_model.model.* > model.language_model.*
    family inkling2 inkling2_loop
    rename model.llm.unembed. > lm_head.
    rename model.llm. > model.language_model.
    rename model.visual. > model.vision_tower.
    rename vision_tower.backbone.embeddings. > vision_tower.embeddings.
    rename vision_tower.embeddings.position_embedding > vision_tower.embeddings.position_embedding.weight
    rename vision_tower.backbone.ln_pre. > vision_tower.pre_layernorm.
    rename vision_tower.backbone.layers. > vision_tower.layers.
    rename vision_tower.proj_in. > vision_tower.merger.linear_1.
    rename vision_tower.proj_out. > vision_tower.merger.linear_2.
    rename vision_tower.layers.#.ln_1. > vision_tower.layers.#.layernorm_before.
    rename vision_tower.layers.#.ln_2. > vision_tower.layers.#.layernorm_after.
    rename vision_tower.layers.#.mlp.c_fc. > vision_tower.layers.#.mlp.fc1.
    rename vision_tower.layers.#.mlp.c_proj. > vision_tower.layers.#.mlp.fc2.
    rename vision_tower.layers.#.ls_1.gamma > vision_tower.layers.#.lambda_1
    rename vision_tower.layers.#.ls_2.gamma > vision_tower.layers.#.lambda_2
    family inkling2_loop_text
    rename controllers.attn. > q_message_gate.
    rename controllers.k. > k_message_gate.
    rename controllers.v. > v_message_gate.
    rename controllers.mlp. > mlp_message_gate.
    rename _message_gate.down_weight > _message_gate.down_proj.weight
    rename _message_gate.gain_weight > _message_gate.message_gate_proj.weight
    rename _message_gate.forget_weight > _message_gate.forget_gate_proj.weight
    rename model.llm.unembed. > lm_head.
    rename model.llm. > model.
    rename embed.weight > embed_tokens.weight
    rename embed_norm. > embed_tokens.embed_norm.
    rename mlp.gate.bias > mlp.gate.e_score_correction_bias
    rename .attn. > .self_attn.
    rename self_attn.wq_du > self_attn.q_proj.linear
    rename self_attn.wk_dv > self_attn.k_proj.linear
    rename self_attn.wv_dv > self_attn.v_proj.linear
    rename self_attn.k_sconv. > self_attn.k_proj.sconv.
    rename self_attn.v_sconv. > self_attn.v_proj.sconv.
    rename self_attn.rel_logits_proj. > self_attn.relative_position_bias.
    rename self_attn.wr_du > self_attn.relative_position_bias.linear
    rename self_attn.q_l2_clip. > self_attn.q_proj.norm.
    rename self_attn.rel_l2_clip. > self_attn.relative_position_bias.norm.
    rename self_attn.wo_ud > self_attn.o_proj.linear
    rename self_attn.gate_attn > self_attn.o_proj.gate_proj
    rename self_attn.attn_sink_proj > self_attn.sink_proj
    rename attn_sconv. > post_attention_convolution.
    rename mlp_sconv. > post_mlp_convolution.
    rename convolution.weight{!_} > convolution.conv1d.weight
    rename sconv.weight{!_} > sconv.conv1d.weight
    rename convolution.static_w > convolution.static_weight
    rename sconv.static_w > sconv.static_weight
    rename convolution.weight_proj > convolution.weight_proj.weight
    rename sconv.weight_proj > sconv.weight_proj.weight
    rename mlp_norm > post_attention_layernorm
    rename attn_norm > input_layernorm
    rename q_input_norm > q_input_layernorm
    rename k_input_norm > k_input_layernorm
    rename v_input_norm > v_input_layernorm
    rename attn_res.mlp_queries.# > layers.#.mlp_input.query
    rename attn_res.output_query > final_input.query
    family inkling2_text
    rename model.llm.unembed. > lm_head.
    rename model.llm. > model.
    rename embed.weight > embed_tokens.weight
    rename embed_norm. > embed_tokens.embed_norm.
    rename mlp.experts.w2_weight > mlp.experts.down_proj
    rename mlp.experts.w2_weight_scale > mlp.experts.down_proj_scale_inv
    rename mlp.gate.bias > mlp.gate.e_score_correction_bias
    rename .attn. > .self_attn.
    rename self_attn.wq_du > self_attn.q_proj.linear
    rename self_attn.wk_dv > self_attn.k_proj.linear
    rename self_attn.wv_dv > self_attn.v_proj.linear
    rename self_attn.k_sconv. > self_attn.k_proj.sconv.
    rename self_attn.v_sconv. > self_attn.v_proj.sconv.
    rename self_attn.rel_logits_proj. > self_attn.relative_position_bias.
    rename self_attn.wr_du > self_attn.relative_position_bias.linear
    rename self_attn.q_l2_clip. > self_attn.q_proj.norm.
    rename self_attn.rel_l2_clip. > self_attn.relative_position_bias.norm.
    rename self_attn.wo_ud > self_attn.o_proj.linear
    rename self_attn.gate_attn > self_attn.o_proj.gate_proj
    rename self_attn.attn_sink_proj > self_attn.sink_proj
    rename attn_sconv. > post_attention_convolution.
    rename mlp_sconv. > post_mlp_convolution.
    rename convolution.weight{!_} > convolution.conv1d.weight
    rename sconv.weight{!_} > sconv.conv1d.weight
    rename convolution.static_w > convolution.static_weight
    rename sconv.static_w > sconv.static_weight
    rename convolution.weight_proj > convolution.weight_proj.weight
    rename sconv.weight_proj > sconv.weight_proj.weight
    rename mlp_norm > post_attention_layernorm
    rename attn_norm > input_layernorm
    rename q_input_norm > q_input_layernorm
    rename k_input_norm > k_input_layernorm
    rename v_input_norm > v_input_layernorm
    rename attn_res.mlp_queries.# > layers.#.mlp_input.query
    rename attn_res.output_query > final_input.query
    family inkling_mm_model
    rename model.llm.layers > model.language_model.layers
    rename model.llm.embed_norm.weight > model.language_model.embed_tokens.embed_norm.weight
    rename model.llm.embed.weight > model.language_model.embed_tokens.weight
    rename model.llm.norm.weight > model.language_model.norm.weight
    rename model.llm.unembed.weight > lm_head.weight
    rename model.audio. > model.audio_tower.
    rename model.visual > model.vision_tower
    rename vision_tower.layers.linear_# > vision_tower.encoder_layers.#.projection
    rename vision_tower.layers.norm_# > vision_tower.encoder_layers.#.layer_norm
    rename audio_tower.encoder.weight > audio_tower.embed_audio_tokens.embed_audio_tokens.weight
    rename audio_tower.final_norm.weight > audio_tower.norm.weight
    rename shared_w2_weight > down_proj
    rename mlp.experts.w2_weight > mlp.experts.down_proj
    rename mlp.w2_md.weight > mlp.down_proj.weight
    rename mlp.gate.bias > mlp.gate.e_score_correction_bias
    rename attn.wq_du > self_attn.q_proj
    rename attn.wk_dv > self_attn.k_proj
    rename attn.wv_dv > self_attn.v_proj
    rename attn.wr_du > self_attn.r_proj
    rename attn.wo_ud > self_attn.o_proj
    rename .attn.q_norm > .self_attn.q_norm
    rename .attn.k_norm > .self_attn.k_norm
    rename .attn.k_sconv > .self_attn.k_sconv.conv1d
    rename .attn.v_sconv > .self_attn.v_sconv.conv1d
    rename .attn.rel_logits_proj > .self_attn.rel_logits_proj
    rename attn_sconv.weight > attn_sconv.conv1d.weight
    rename mlp_sconv.weight > mlp_sconv.conv1d.weight
    rename mlp_norm > post_attention_layernorm
    rename attn_norm > input_layernorm
    family jamba
    stack 0 feed_forward.experts.#.gate_proj.weight + feed_forward.experts.#.up_proj.weight > feed_forward.experts.gate_up_proj
    stack 0 feed_forward.experts.#.down_proj.weight > feed_forward.experts.down_proj
    family jev
    rename ^weight > proj.weight
    family jina_embeddings_v3
    rename emb_ln > embeddings.LayerNorm
    rename encoder.layers > layers
    rename mixer.out_proj > self_attn.o_proj
    rename norm1 > post_attention_layernorm
    rename norm2 > post_mlp_layernorm
    part 0 mixer.Wqkv > self_attn.q_proj + self_attn.k_proj + self_attn.v_proj
    family kimi_k25
    rename language_model.model > model.language_model
    rename language_model.lm_head > lm_head
    rename vision_tower.encoder.blocks.#.norm1 > vision_tower.encoder.blocks.#.norm2
    rename vision_tower.encoder.blocks.#.norm0 > vision_tower.encoder.blocks.#.norm1
    rename vision_tower.encoder.blocks.#.mlp.fc1 > vision_tower.encoder.blocks.#.mlp.fc2
    rename vision_tower.encoder.blocks.#.mlp.fc0 > vision_tower.encoder.blocks.#.mlp.fc1
    rename vision_tower.encoder.blocks.#.wo > vision_tower.encoder.blocks.#.attn.proj
    rename vision_tower.encoder > model.vision_tower
    rename mm_projector.proj.0 > model.mm_projector.in_proj
    rename mm_projector.proj.2 > model.mm_projector.out_proj
    rename blocks > layers
    rename vision_tower.patch_embed.pos_emb.weight > model.vision_tower.patch_embed.pos_emb.position_embeddings
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    family kimi_linear
    rename self_attn.f_a_proj. > self_attn.forget_gate.f_a_proj.
    rename self_attn.f_b_proj. > self_attn.forget_gate.f_b_proj.
    rename self_attn.dt_bias > self_attn.forget_gate.dt_bias
    rename self_attn.A_log > self_attn.forget_gate.A_log
    join 0 self_attn.q_conv1d.weight + self_attn.k_conv1d.weight + self_attn.v_conv1d.weight > self_attn.conv1d.weight
    rename .block_sparse_moe. > .mlp.
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    family kolibri1
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename moe.router.expert_bias > mlp.gate.e_score_correction_bias
    rename post_attn_norm > post_self_attn_layernorm
    rename post_ffn_norm > post_mlp_layernorm
    family laguna
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename mlp.experts.e_score_correction_bias > mlp.gate.e_score_correction_bias
    rename mlp.shared_expert. > mlp.shared_experts.
    family lara_mini
    rename linear_attn.out_norm. > linear_attn.norm.
    part 0 linear_attn.in_proj > linear_attn.in_proj_qkv + linear_attn.in_proj_z + linear_attn.in_proj_b + linear_attn.in_proj_a
    family legacy
    rename LayerNorm.gamma > LayerNorm.weight
    rename LayerNorm.beta > LayerNorm.bias
    rename .weight_g > .parametrizations.weight.original0
    rename .weight_v > .parametrizations.weight.original1
    rename ^model.language_model.model > model.language_model
    rename ^language_model.model.model > model.language_model
    family lfm2_moe
    stack 0 feed_forward.experts.#.w1.weight + feed_forward.experts.#.w3.weight > feed_forward.experts.gate_up_proj
    stack 0 feed_forward.experts.#.w2.weight > feed_forward.experts.down_proj
    family lfm3
    rename .self_attn.gate_proj. > .self_attn.g_proj.
    family lfm3_vl_vision
    rename patchifier > patch_embed
    rename q_layernorm > q_norm
    rename k_layernorm > k_norm
    family llava_next llava_next_video llava_onevision
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^vision_tower > model.vision_tower
    rename ^multi_modal_projector > model.multi_modal_projector
    rename ^image_newline > model.image_newline
    family lw_detr
    rename attention.attention.query > attention.q_proj
    rename attention.attention.key > attention.k_proj
    rename attention.attention.value > attention.v_proj
    rename attention.output > attention.o_proj
    family maskformer
    rename layers.#.fc1 > layers.#.mlp.fc1
    rename layers.#.fc2 > layers.#.mlp.fc2
    family mimo_v2_flash
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename self_attn.attention_sink_bias > self_attn.sinks
    family minimax mixtral
    rename .block_sparse_moe. > .mlp.
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    family minimax_m2
    rename .block_sparse_moe. > .mlp.
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    rename .block_sparse_moe.e_score_correction_bias > .mlp.e_score_correction_bias
    family minimax_m3_vl
    rename ^language_model.lm_head > lm_head
    rename ^language_model.model. > model.language_model.
    rename ^vision_tower.vision_model.embeddings.patch_embedding. > model.vision_tower.embeddings.proj.
    rename ^vision_tower.vision_model.encoder.layers. > model.vision_tower.layers.
    rename ^vision_tower.vision_model.pre_layrnorm. > model.vision_tower.pre_layrnorm.
    rename ^multi_modal_projector.linear_1. > model.multi_modal_projector.linear_1.
    rename ^multi_modal_projector.linear_2. > model.multi_modal_projector.linear_2.
    rename ^patch_merge_mlp.linear_1. > model.multi_modal_projector.merge_linear_1.
    rename ^patch_merge_mlp.linear_2. > model.multi_modal_projector.merge_linear_2.
    rename .block_sparse_moe.experts. > .mlp.experts.
    rename .block_sparse_moe.gate. > .mlp.gate.
    rename .block_sparse_moe.shared_experts. > .mlp.shared_experts.
    rename .block_sparse_moe.e_score_correction_bias > .mlp.gate.e_score_correction_bias
    rename .self_attn.index_q_proj. > .self_attn.indexer.q_proj.
    rename .self_attn.index_k_proj. > .self_attn.indexer.k_proj.
    rename .self_attn.index_q_norm. > .self_attn.indexer.q_norm.
    rename .self_attn.index_k_norm. > .self_attn.indexer.k_norm.
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    join 0 .gate_proj.weight + .up_proj.weight > .gate_up_proj.weight
    family mistral_large4
    rename ^vision_encoder. > model.vision_tower.
    rename ^tok_embeddings. > model.language_model.embed_tokens.
    rename ^lerope.alpha > model.language_model.rotary_emb.alpha
    rename ^layers. > model.language_model.layers.
    rename ^norm. > model.language_model.norm.
    rename ^output. > lm_head.
    rename ^pre_mm_projector_norm. > model.multi_modal_projector.norm.
    rename ^patch_merger. > model.multi_modal_projector.patch_merger.
    rename ^vision_language_adapter.w_in. > model.multi_modal_projector.linear_1.
    rename ^vision_language_adapter.w_out. > model.multi_modal_projector.linear_2.
    rename .wv. > .v_proj.
    rename .wo. > .o_proj.
    rename .feed_forward.w1. > .feed_forward.gate_proj.
    rename .shared_experts.w1. > .shared_experts.gate_proj.
    rename .feed_forward.w2. > .feed_forward.down_proj.
    rename .shared_experts.w2. > .shared_experts.down_proj.
    rename .feed_forward.w3. > .feed_forward.up_proj.
    rename .shared_experts.w3. > .shared_experts.up_proj.
    family mistral_large4_text
    rename .attention. > .self_attn.
    rename .wq. > .q_proj.
    rename .wkv_a_with_mqa. > .kv_a_proj_with_mqa.
    rename .wkv_b. > .kv_b_proj.
    rename .attention_norm. > .input_layernorm.
    rename .ffn_norm. > .post_attention_layernorm.
    rename .kv_a_norm. > .kv_a_layernorm.
    rename .feed_forward. > .mlp.
    rename .gate. > .mlp.gate.
    rename .experts. > .mlp.experts.
    rename .shared_experts. > .mlp.shared_experts.
    rename .ssmax_scaling.s > .softmax_scaling.scale
    rename .ssmax_scaling.b > .softmax_scaling.bias
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    family mllama
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^vision_model > model.vision_model
    rename ^multi_modal_projector > model.multi_modal_projector
    family molmo2
    rename {<image_vit.}transformer.{!ln_f.|blocks.} > language_model.
    rename {<image_vit.}transformer.ln_f. > language_model.norm.
    rename {<image_vit.}transformer.blocks. > language_model.layers.
    rename vision_backbone.image_vit.{!transformer.resblocks.} > vision_tower.
    rename vision_backbone.image_vit.transformer.resblocks. > vision_tower.layers.
    rename vision_backbone.image_pooling_2d. > multi_modal_projector.image_pooling_2d.
    rename vision_backbone.image_projector. > multi_modal_projector.image_projector.
    rename .attention.wq > .self_attn.q_proj
    rename .attention.wk > .self_attn.k_proj
    rename .attention.wv > .self_attn.v_proj
    rename .attention.wo > .self_attn.o_proj
    rename .feed_forward.w1 > .mlp.fc1
    rename .feed_forward.w2 > .mlp.fc2
    rename .attention_norm > .layer_norm1
    rename .ffn_norm > .layer_norm2
    rename image_pooling_2d.wq > image_pooling_2d.q_proj
    rename image_pooling_2d.wk > image_pooling_2d.k_proj
    rename image_pooling_2d.wv > image_pooling_2d.v_proj
    rename image_pooling_2d.wo > image_pooling_2d.o_proj
    rename image_projector.w1 > image_projector.gate_proj
    rename image_projector.w2 > image_projector.down_proj
    rename image_projector.w3 > image_projector.up_proj
    family nemo_speechlm
    rename ^perception.encoder.asr_encoder. > model.audio_tower.asr_encoder.
    rename ^perception.encoder.diarization_model.encoder. > model.audio_tower.diarization_model.model.audio_tower.
    rename ^ctc_timestamp.decoder.transformer. > model.word_timestamp_encoder.
    rename ^ctc_timestamp.decoder.upsample. > model.word_timestamp_encoder.upsampler.
    rename ^ctc_timestamp.decoder.decoder_layers.0. > word_timestamp_head.
    rename ^perception.encoder.diarization_model.sortformer_modules.encoder_proj. > model.audio_tower.diarization_model.model.proj.
    rename ^perception.encoder.diarization_model.sortformer_modules.subpixel_upsample. > model.audio_tower.diarization_model.model.upsampler.conv.
    rename ^perception.encoder.diarization_model.sortformer_modules.first_hidden_to_hidden. > model.audio_tower.diarization_model.classifier.dense.
    rename ^perception.encoder.diarization_model.sortformer_modules.single_hidden_to_spks. > model.audio_tower.diarization_model.classifier.out_proj.
    rename ^perception.encoder.diarization_model.sortformer_modules.learnable_sil_emb > model.audio_tower.diarization_model.silence_embeds
    rename ^perception.encoder.asr_norm. > model.audio_tower.asr_norm.
    rename ^perception.encoder.diar_norm. > model.audio_tower.speaker_norm.
    rename ^perception.proj. > model.multi_modal_projector.
    rename ^llm.model.embed_tokens. > model.language_model.embeddings.
    rename ^llm.model.norm. > model.language_model.norm_f.
    rename ^llm.model.layers. > model.language_model.layers.
    rename ^llm.lm_head. > lm_head.
    rename .pre_encode.proj. > .embedder.projection.
    rename .embed_norm. > .input_layer_norm.
    rename .final_norm. > .layer_norm.
    rename .norm1. > .layer_norm1.
    rename .norm2. > .layer_norm2.
    rename .attn.out_proj. > .self_attn.o_proj.
    rename .attn.q_norm. > .self_attn.q_norm.
    rename .attn.k_norm. > .self_attn.k_norm.
    rename .ffn.net.0. > .mlp.fc1.
    rename .ffn.net.3. > .mlp.fc2.
    rename .mixer._fp32_params.A_log > .mixer.A_log
    rename .mixer._fp32_params.D > .mixer.D
    rename .mixer._fp32_params.dt_bias > .mixer.dt_bias
    part 0 .attn.w_qkv.weight > .self_attn.q_proj.weight + .self_attn.k_proj.weight + .self_attn.v_proj.weight
    family nemotron_h
    rename backbone. > model.
    stack 0 mixer.experts.#.up_proj.weight > mixer.experts.up_proj
    stack 0 mixer.experts.#.down_proj.weight > mixer.experts.down_proj
    family nomic_bert
    rename encoder.layers > layers
    rename emb_ln > embeddings.LayerNorm
    rename attn.out_proj > self_attn.o_proj
    rename fc11 > up_proj
    rename fc12 > gate_proj
    rename fc2 > down_proj
    rename norm1 > post_attention_layernorm
    rename norm2 > post_mlp_layernorm
    part 0 attn.Wqkv > self_attn.q_proj + self_attn.k_proj + self_attn.v_proj
    family olmo_hybrid
    rename attention_layer_norm > input_layernorm
    rename feedforward_layer_norm > post_attention_layernorm
    join 0 linear_attn.q_conv1d.weight + linear_attn.k_conv1d.weight + linear_attn.v_conv1d.weight > linear_attn.conv1d.weight
    family paddleocr_vl
    rename ^mlp_AR > model.projector
    rename ^visual > model.visual
    rename ^model{!.visual|.projector|.language_model} > model.language_model
    family phimoe
    rename .block_sparse_moe. > .mlp.
    rename .gate.weight > .router.weight
    stack 0 .experts.#.w1.weight + .experts.#.w3.weight > .experts.gate_up_proj
    stack 0 .experts.#.w2.weight > .experts.down_proj
    family pi0
    rename ^model.* > *
    rename state_proj > embed_action_time.state_proj
    rename action_in_proj > embed_action_time.action_in_proj
    rename action_time_mlp_in > embed_action_time.action_time_mlp_in
    rename action_time_mlp_out > embed_action_time.action_time_mlp_out
    rename ^paligemma_with_expert.paligemma.model > model.vlm
    rename ^paligemma_with_expert.gemma_expert.model > model.dit
    rename ^paligemma_with_expert.gemma_expert.lm_head > model.dit.embed_tokens
    rename ^paligemma_with_expert.paligemma.lm_head > model.vlm.language_model.embed_tokens
    family pixio
    rename encoder.layer. > layers.
    rename attention.query > q_proj
    rename attention.key > k_proj
    rename attention.value > v_proj
    rename attention.output.dense > attention.o_proj
    rename intermediate.dense > mlp.fc1
    rename output.dense > mlp.fc2
    rename norm1 > layernorm_before
    rename norm2 > layernorm_after
    rename ^encoder. > pixio.
    family pp_doclayout_v2 pp_doclayout_v3 rt_detr rt_detr_v2
    rename out_proj > o_proj
    rename layers.#.fc1 > layers.#.mlp.fc1
    rename layers.#.fc2 > layers.#.mlp.fc2
    rename encoder.encoder.#.layers > encoder.aifi.#.layers
    family pp_doclayout_v4
    rename decoder_roor_order_head. > decoder.successor_order_head.proj.
    rename decoder_roor_global_pointer. > decoder.successor_order_head.global_pointer.
    rename decoder_order_head. > decoder.relative_order_head.proj.
    rename decoder_global_pointer. > decoder.relative_order_head.global_pointer.
    rename s2r_fusion.a > decoder.relative_order_head.s2r_fusion.closure_weight
    rename out_proj > o_proj
    rename layers.#.fc1 > layers.#.mlp.fc1
    rename layers.#.fc2 > layers.#.mlp.fc2
    rename encoder.encoder.#.layers > encoder.aifi.#.layers
    family qianfan_ocr
    rename ^vision_model. > model.vision_tower.
    rename encoder.layers. > layers.
    rename .ls1 > .lambda_1
    rename .ls2 > .lambda_2
    rename layers.#.attn.proj. > layers.#.attention.projection_layer.
    rename .norm1. > .layernorm_before.
    rename .norm2. > .layernorm_after.
    rename .embeddings.class_embedding > .embeddings.cls_token
    rename .embeddings.position_embedding > .embeddings.position_embeddings
    rename .embeddings.patch_embedding. > .embeddings.patch_embeddings.projection.
    rename ^language_model.model. > model.language_model.
    rename ^language_model.lm_head. > lm_head.
    rename ^mlp1.0. > model.multi_modal_projector.layer_norm.
    rename ^mlp1.1. > model.multi_modal_projector.linear_1.
    rename ^mlp1.3. > model.multi_modal_projector.linear_2.
    part 0 attn.qkv.weight > attention.q_proj.weight + attention.k_proj.weight + attention.v_proj.weight
    part 0 attn.qkv.bias > attention.q_proj.bias + attention.k_proj.bias + attention.v_proj.bias
    family qwen3_5_moe_text qwen4_exp_text
    rename ^model.language_model.* > model.*
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    family radio
    rename radio_model.model.patch_generator.video_embedder > embeddings.video_patch_projection
    rename radio_model.model.patch_generator.embedder > embeddings.patch_projection
    rename radio_model.model.patch_generator.pos_embed > embeddings.position_embedding
    rename radio_model.model.patch_generator.cls_token.token > embeddings.cls_register_token
    rename radio_model.model.blocks > encoder.layer
    rename attn.proj > attention.o_proj
    rename radio_model.input_conditioner > input_conditioner
    rename radio_model.summary_idxs > summary_idxs
    part 0 attn.qkv > attention.q_proj + attention.k_proj + attention.v_proj
    family sam3_tracker sam3_tracker_video
    rename detector_model.vision_encoder.backbone. > vision_encoder.backbone.
    rename tracker_neck. > vision_encoder.neck.
    rename tracker_model.* > *
    family sapiens2
    rename ^cls_token > embeddings.cls_token
    rename ^storage_tokens > embeddings.register_tokens
    rename ^patch_embed.projection. > embeddings.patch_embeddings.
    rename blocks.#. > model.layer.#.
    rename attn.proj. > attention.o_proj.
    rename attn.wq. > attention.q_proj.
    rename attn.wk. > attention.k_proj.
    rename attn.wv. > attention.v_proj.
    rename attn.q_norm. > attention.q_norm.
    rename attn.k_norm. > attention.k_norm.
    rename attn.gamma.weight > layer_scale1.lambda1
    rename ffn.w3. > mlp.down_proj.
    rename .ln1. > .norm1.
    rename .ln2. > .norm2.
    rename ^ln1. > norm.
    part 0 ffn.w12.weight > mlp.gate_proj.weight + mlp.up_proj.weight
    part 0 ffn.w12.bias > mlp.gate_proj.bias + mlp.up_proj.bias
    family sarvam_moe
    stack 0 mlp.experts.#.gate_proj.weight + mlp.experts.#.up_proj.weight > mlp.experts.gate_up_proj
    stack 0 mlp.experts.#.down_proj.weight > mlp.experts.down_proj
    rename ^model.word_embeddings. > model.embed_tokens.
    rename .attention. > .self_attn.
    part 0 query_key_value > q_proj + k_proj + v_proj
    rename .self_attn.dense. > .self_attn.o_proj.
    rename .self_attn.query_layernorm. > .self_attn.q_norm.
    rename .self_attn.key_layernorm. > .self_attn.k_norm.
    rename .mlp.gate.expert_bias > .mlp.gate.e_score_correction_bias
    family shieldgemma2
    rename ^model.{!model.}* > model.model.*
    family step3p5_vision
    rename ^conv1.weight > embeddings.patch_embedding.weight
    rename ^positional_embedding > embeddings.position_embedding.weight
    rename ^transformer.resblocks. > layers.
    rename ^ln_pre. > pre_layernorm.
    rename ^vit_downsampler1. > downsampler1.
    rename ^vit_downsampler2. > downsampler2.
    rename .ls_1.gamma > .lambda_1
    rename .ls_2.gamma > .lambda_2
    rename .mlp.c_fc. > .mlp.fc1.
    rename .mlp.c_proj. > .mlp.fc2.
    rename .attn. > .self_attn.
    rename .ln_1. > .layernorm_before.
    rename .ln_2. > .layernorm_after.
    family step3p7
    rename ^vision_model. > model.vision_model.
    rename ^vit_large_projector. > model.multi_modal_projector.
    rename ^model.embed_tokens. > model.language_model.embed_tokens.
    rename ^model.layers. > model.language_model.layers.
    rename ^model.norm. > model.language_model.norm.
    rename .moe.gate.weight > .mlp.gate.weight
    rename .moe.router_bias > .mlp.gate.e_score_correction_bias
    rename .moe.down_proj.weight > .mlp.experts.down_proj
    rename .moe.down_proj.weight_scale_inv > .mlp.experts.down_proj_scale_inv
    rename .share_expert. > .mlp.shared_experts.
    join 1 moe.gate_proj.weight + moe.up_proj.weight > mlp.experts.gate_up_proj
    family swin
    rename attention.self.query > attention.q_proj
    rename attention.self.key > attention.k_proj
    rename attention.self.value > attention.v_proj
    rename attention.self.relative_position_bias_table > attention.relative_position_bias.relative_position_bias_table
    rename attention.output.dense > attention.o_proj
    rename intermediate.dense > mlp.fc1
    rename output.dense > mlp.fc2
    family t5gemma2_encoder
    rename {<decoder.}{<text_model.}embed_tokens. > text_model.embed_tokens.
    rename {<decoder.}{<text_model.}{<layer}{<_}norm. > text_model.norm.
    rename {<vision_model.encoder.}{<vision_tower.encoder.}{<decoder.}{<text_model.}layers. > text_model.layers.
    family timesfm2_5
    rename ff0 > fc1
    rename ff1 > fc2
    family timm_wrapper
    rename ^{!timm_model.}* > timm_model.*
    family tipsv2
    rename text_encoder > text_model
    rename vision_encoder > vision_model
    family tipsv2_dpt
    rename vision_encoder > backbone
    rename head.reassemble.readout_projects.# > neck.reassemble_stage.readout_projects.#.layers.0
    rename head.reassemble.out_projections.#. > neck.reassemble_stage.layers.#.projection.
    rename head.reassemble.resize_layers.#. > neck.reassemble_stage.layers.#.resize.
    rename head.fusion_blocks.#.out_conv. > neck.fusion_stage.layers.#.projection.
    rename head.fusion_blocks.#.main_unit.conv1. > neck.fusion_stage.layers.#.residual_layer2.convolution1.
    rename head.fusion_blocks.#.main_unit.conv2. > neck.fusion_stage.layers.#.residual_layer2.convolution2.
    rename head.fusion_blocks.#.residual_unit.conv1. > neck.fusion_stage.layers.#.residual_layer1.convolution1.
    rename head.fusion_blocks.#.residual_unit.conv2. > neck.fusion_stage.layers.#.residual_layer1.convolution2.
    rename head.convs > neck.convs
    rename head.project > decoder.project
    rename depth_head.depth_head. > depth_decoder.head.
    rename normals_head.normals_head. > normals_decoder.head.
    rename segmentation_head.segmentation_head. > segmentation_decoder.head.
    family vibevoice_asr
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^acoustic_tokenizer_encoder > model.acoustic_tokenizer_encoder
    rename ^semantic_tokenizer_encoder > model.semantic_tokenizer_encoder
    rename ^multi_modal_projector > model.multi_modal_projector
    family video_llava
    rename ^language_model.lm_head > lm_head
    rename ^language_model > model.language_model
    rename ^image_tower > model.image_tower
    rename ^video_tower > model.video_tower
    rename ^multi_modal_projector > model.multi_modal_projector
    family videomae
    rename attention.attention.q_bias > attention.attention.query.bias
    rename attention.attention.v_bias > attention.attention.value.bias
    family yolos
    rename encoder.mid_position_embeddings > encoder.interpolation.mid_position_embeddings
    family consolidated
    pairs .attention.wq.
    pairs .attention.wk.
    rename ^tok_embeddings. > model.embed_tokens.
    rename ^layers. > model.layers.
    rename ^norm. > model.norm.
    rename ^output. > lm_head.
    rename .attention.wq. > .self_attn.q_proj.
    rename .attention.wk. > .self_attn.k_proj.
    rename .attention.wv. > .self_attn.v_proj.
    rename .attention.wo. > .self_attn.o_proj.
    rename .feed_forward.w1. > .mlp.gate_proj.
    rename .feed_forward.w2. > .mlp.down_proj.
    rename .feed_forward.w3. > .mlp.up_proj.
    rename .feed_forward.gate. > .block_sparse_moe.gate.
    rename .feed_forward.experts. > .block_sparse_moe.experts.
    rename .attention_norm. > .input_layernorm.
    rename .ffn_norm. > .post_attention_layernorm.
    model afmoe model AfmoeForCausalLM,AfmoeModel : qwen2_moe
    model aimv2 aimv2 Aimv2Model
    model aimv2_vision_model aimv2 Aimv2VisionModel
    model albert albert AlbertForMaskedLM,AlbertForMultipleChoice,AlbertForPreTraining,AlbertForQuestionAnswering,AlbertForSequenceClassification,AlbertForTokenClassification,AlbertModel
    model align align AlignModel
    model altclip altclip AltCLIPModel : altclip CLIPVisionModel@vision_model
    model apertus model ApertusForCausalLM,ApertusForTokenClassification,ApertusModel
    model apertus1p5 model Apertus1p5ForConditionalGeneration,Apertus1p5Model : apertus1p5_text@language_model
    model apertus1p5_text model Apertus1p5TextForCausalLM,Apertus1p5TextModel : apertus1p5_text
    model arcee model ArceeForCausalLM,ArceeForSequenceClassification,ArceeForTokenClassification,ArceeModel
    model arcee transformer ArceeForQuestionAnswering
    model aria model AriaModel : GraniteSpeechModel aria_text@language_model
    model aria model AriaForConditionalGeneration : llava GraniteSpeechModel@ aria_text@language_model
    model aria_text model AriaTextForCausalLM,AriaTextModel : aria_text
    model audio-spectrogram-transformer audio_spectrogram_transformer ASTModel : ViTModel
    model audio-spectrogram-transformer audio_spectrogram_transformer ASTForAudioClassification : ViTModel@
    model audioflamingo3 model AudioFlamingo3Model : GraniteSpeechModel
    model audioflamingo3 model AudioFlamingo3ForConditionalGeneration : qwen2_audio GraniteSpeechModel@
    model audioflamingo3_encoder model AudioFlamingo3Encoder
    model axk1 model AXK1ForCausalLM,AXK1ForSequenceClassification,AXK1ForTokenClassification,AXK1Model : axk1
    model axk2 model AXK2ForCausalLM,AXK2ForSequenceClassification,AXK2ForTokenClassification,AXK2Model : axk2
    model bailing_hybrid model BailingHybridForCausalLM,BailingHybridModel : bailing_hybrid
    model bamba model BambaForCausalLM,BambaModel
    model bark - BarkModel
    model bart model BartForCausalLM,BartForConditionalGeneration,BartForQuestionAnswering,BartForSequenceClassification,BartModel
    model beam model BeamForCausalLM,BeamForTokenClassification,BeamModel : qwen2_moe
    model beit beit BeitBackbone : BeitBackbone BeitModel@
    model beit beit BeitModel : BeitModel
    model beit beit BeitForImageClassification : BeitModel@
    model bert bert BertForMaskedLM,BertForMultipleChoice,BertForNextSentencePrediction,BertForPreTraining,BertForQuestionAnswering,BertForSequenceClassification,BertForTokenClassification,BertLMHeadModel,BertModel
    model bert-generation bert BertGenerationDecoder,BertGenerationEncoder
    model big_bird bert BigBirdForCausalLM,BigBirdForMaskedLM,BigBirdForMultipleChoice,BigBirdForPreTraining,BigBirdForQuestionAnswering,BigBirdForSequenceClassification,BigBirdForTokenClassification,BigBirdModel
    model bigbird_pegasus model BigBirdPegasusForCausalLM,BigBirdPegasusForConditionalGeneration,BigBirdPegasusForQuestionAnswering,BigBirdPegasusForSequenceClassification,BigBirdPegasusModel
    model biogpt biogpt BioGptForCausalLM,BioGptForSequenceClassification,BioGptForTokenClassification,BioGptModel
    model bit bit BitBackbone,BitForImageClassification,BitModel
    model bitnet model BitNetForCausalLM,BitNetModel
    model blenderbot model BlenderbotForCausalLM,BlenderbotForConditionalGeneration,BlenderbotModel
    model blenderbot-small model BlenderbotSmallForCausalLM,BlenderbotSmallForConditionalGeneration,BlenderbotSmallModel
    model blip blip BlipForConditionalGeneration,BlipForQuestionAnswering,BlipModel
    model blip-2 blip Blip2ForConditionalGeneration,Blip2ForImageTextRetrieval,Blip2Model
    model blip_2_qformer blip Blip2QFormerModel
    model bloom transformer BloomForCausalLM,BloomForQuestionAnswering,BloomForSequenceClassification,BloomForTokenClassification,BloomModel
    model blt model BltForCausalLM,BltModel
    model bridgetower bridgetower BridgeTowerModel
    model bros bros BrosForTokenClassification,BrosModel
    model camembert roberta CamembertForCausalLM,CamembertForMaskedLM,CamembertForMultipleChoice,CamembertForQuestionAnswering,CamembertForSequenceClassification,CamembertForTokenClassification,CamembertModel
    model canary model CanaryForConditionalGeneration,CanaryModel
    model canine canine CanineForMultipleChoice,CanineForQuestionAnswering,CanineForSequenceClassification,CanineForTokenClassification,CanineModel
    model chinese_clip chinese_clip ChineseCLIPModel : CLIPVisionModel@vision_model
    model chinese_clip_vision_model chinese_clip ChineseCLIPVisionModel : CLIPVisionModel
    model chmv2 chmv2 CHMv2ForDepthEstimation : dinov3_vit@backbone
    model clap clap ClapModel
    model clip clip CLIPModel : CLIPTextModel@text_model CLIPVisionModel@vision_model
    model clip clip CLIPForImageClassification : CLIPVisionModel@vision_model
    model clip_text_model clip CLIPTextModel : CLIPTextModel
    model clip_vision_model clip CLIPVisionModel : CLIPVisionModel
    model clipseg clip CLIPSegModel : CLIPTextModel@text_model CLIPVisionModel@vision_model
    model clvp model ClvpModelForConditionalGeneration
    model codegen transformer CodeGenForCausalLM,CodeGenModel
    model cohere model CohereForCausalLM,CohereModel
    model cohere2 model Cohere2ForCausalLM,Cohere2Model
    model cohere2_moe model Cohere2MoeForCausalLM,Cohere2MoeModel : qwen2_moe
    model cohere2_vision model Cohere2VisionForConditionalGeneration,Cohere2VisionModel : CLIPVisionModel@vision_tower
    model cohere_asr model CohereAsrForConditionalGeneration,CohereAsrModel : cohere_asr
    model cohere_compass_vision model CohereCompassVisionModel
    model colmodernvbert vlm ColModernVBertForRetrieval : CLIPVisionModel@vision_model
    model colpali vlm ColPaliForRetrieval : GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model colqwen2 vlm ColQwen2ForRetrieval : colqwen2 Qwen2VLModel@
    model convbert convbert ConvBertForMaskedLM,ConvBertForMultipleChoice,ConvBertForQuestionAnswering,ConvBertForSequenceClassification,ConvBertForTokenClassification,ConvBertModel
    model convnext convnext ConvNextForImageClassification,ConvNextModel
    model convnextv2 convnextv2 ConvNextV2ForImageClassification,ConvNextV2Model
    model cosmos3_edge model Cosmos3EdgeForConditionalGeneration,Cosmos3EdgeModel : cosmos3_edge
    model cosmos3_edge_text model Cosmos3EdgeTextModel
    model cosmos3_edge_vision model Cosmos3EdgeVisionModel
    model cosmos3_omni model Cosmos3OmniForConditionalGeneration,Cosmos3OmniModel : cosmos3_omni
    model cpmant cpmant CpmAntForCausalLM,CpmAntModel
    model csm model CsmForConditionalGeneration : MimiModel@codec_model MimiEncoderModel@codec_model.encoder MimiDecoderModel@codec_model.decoder
    model ctrl transformer CTRLForSequenceClassification,CTRLLMHeadModel,CTRLModel
    model cvt cvt CvtForImageClassification,CvtModel
    model cwm model CwmForCausalLM,CwmModel
    model d_fine model DFineForObjectDetection,DFineModel : d_fine
    model dac dac DacModel
    model data2vec-audio data2vec_audio Data2VecAudioForAudioFrameClassification,Data2VecAudioForCTC,Data2VecAudioForSequenceClassification,Data2VecAudioForXVector,Data2VecAudioModel
    model data2vec-text data2vec_text Data2VecTextForCausalLM,Data2VecTextForMaskedLM,Data2VecTextForMultipleChoice,Data2VecTextForQuestionAnswering,Data2VecTextForSequenceClassification,Data2VecTextForTokenClassification,Data2VecTextModel
    model data2vec-vision data2vec_vision Data2VecVisionForImageClassification,Data2VecVisionForSemanticSegmentation,Data2VecVisionModel
    model deberta deberta DebertaForMaskedLM,DebertaForQuestionAnswering,DebertaForSequenceClassification,DebertaForTokenClassification,DebertaModel
    model deberta-v2 deberta DebertaV2ForMaskedLM,DebertaV2ForMultipleChoice,DebertaV2ForQuestionAnswering,DebertaV2ForSequenceClassification,DebertaV2ForTokenClassification,DebertaV2Model
    model decision_transformer decision_transformer DecisionTransformerModel
    model deepseek_v2 model DeepseekV2ForCausalLM,DeepseekV2ForSequenceClassification,DeepseekV2Model : qwen2_moe
    model deepseek_v3 model DeepseekV3ForCausalLM,DeepseekV3ForSequenceClassification,DeepseekV3ForTokenClassification,DeepseekV3Model : qwen2_moe
    model deepseek_v32 model DeepseekV32ForCausalLM,DeepseekV32Model : qwen2_moe
    model deepseek_v4 model DeepseekV4ForCausalLM,DeepseekV4Model : deepseek_v4
    model deepseek_vl model DeepseekVLForConditionalGeneration,DeepseekVLModel : CLIPVisionModel@vision_model
    model deepseek_vl_hybrid model DeepseekVLHybridForConditionalGeneration,DeepseekVLHybridModel : CLIPVisionModel@vision_model
    model deimv2 model Deimv2ForObjectDetection,Deimv2Model
    model deit deit DeiTModel : ViTModel
    model deit deit DeiTForImageClassification,DeiTForImageClassificationWithTeacher,DeiTForMaskedImageModeling : ViTModel@
    model depth_anything depth_anything DepthAnythingForDepthEstimation : Dinov2Model@backbone
    model depth_pro depth_pro DepthProForDepthEstimation,DepthProModel : Dinov2Model@encoder.patch_encoder.model Dinov2Model@encoder.image_encoder.model
    model dia model DiaForConditionalGeneration,DiaModel
    model diffllama model DiffLlamaForCausalLM,DiffLlamaForSequenceClassification,DiffLlamaForTokenClassification,DiffLlamaModel
    model diffllama transformer DiffLlamaForQuestionAnswering
    model dinov2 dinov2 Dinov2Backbone,Dinov2Model : Dinov2Model
    model dinov2 dinov2 Dinov2ForImageClassification : Dinov2Model@
    model dinov2_with_registers dinov2_with_registers Dinov2WithRegistersBackbone,Dinov2WithRegistersModel : Dinov2Model
    model dinov2_with_registers dinov2_with_registers Dinov2WithRegistersForImageClassification : Dinov2Model@
    model dinov3_convnext model DINOv3ConvNextBackbone,DINOv3ConvNextModel : dinov3_convnext
    model dinov3_vit model DINOv3ViTBackbone,DINOv3ViTModel : dinov3_vit
    model distilbert distilbert DistilBertForMaskedLM,DistilBertForMultipleChoice,DistilBertForQuestionAnswering,DistilBertForSequenceClassification,DistilBertForTokenClassification,DistilBertModel
    model doge model DogeForCausalLM,DogeForSequenceClassification,DogeModel
    model donut-swin donut DonutSwinForImageClassification,DonutSwinModel
    model dory model DoryForCausalLM,DoryModel : dory
    model dots3_note model Dots3NoteForConditionalGeneration : Dots3NoteForConditionalGeneration Dots3NoteModel@ qwen2_moe@language_model dots3_note_vision_encoder@vision_tower dots3_note_audio_encoder@audio_tower
    model dots3_note model Dots3NoteModel : Dots3NoteModel qwen2_moe@language_model dots3_note_vision_encoder@vision_tower dots3_note_audio_encoder@audio_tower
    model dots3_note_text model Dots3NoteTextModel : qwen2_moe
    model dots3_note_text model Dots3NoteForCausalLM : qwen2_moe@
    model dpr question_encoder DPRQuestionEncoder
    model dpt dpt DPTForDepthEstimation,DPTForSemanticSegmentation,DPTModel
    model edgetam_video edgetam_video EdgeTamVideoModel
    model efficientloftr efficientloftr EfficientLoFTRForKeypointMatching,EfficientLoFTRModel
    model efficientnet efficientnet EfficientNetForImageClassification,EfficientNetModel
    model electra electra ElectraForCausalLM,ElectraForMaskedLM,ElectraForMultipleChoice,ElectraForPreTraining,ElectraForQuestionAnswering,ElectraForSequenceClassification,ElectraForTokenClassification,ElectraModel
    model embedding_gemma2 model EmbeddingGemma2Model
    model embedding_gemma2_text model EmbeddingGemma2TextModel
    model emu3_text_model model Emu3ForCausalLM,Emu3TextModel
    model encodec encodec EncodecModel
    model encoder-decoder encoder_decoder EncoderDecoderModel
    model ernie ernie ErnieForCausalLM,ErnieForMaskedLM,ErnieForMultipleChoice,ErnieForNextSentencePrediction,ErnieForPreTraining,ErnieForQuestionAnswering,ErnieForSequenceClassification,ErnieForTokenClassification,ErnieModel
    model ernie4_5 model Ernie4_5ForCausalLM,Ernie4_5Model
    model ernie4_5_moe model Ernie4_5_MoeForCausalLM,Ernie4_5_MoeModel : ernie4_5_moe
    model ernie4_5_vl_moe model Ernie4_5_VLMoeForConditionalGeneration,Ernie4_5_VLMoeModel : ernie4_5_vl_moe
    model esmc esmc EsmcForMaskedLM,EsmcForSequenceClassification,EsmcForTokenClassification,EsmcModel
    model eurobert model EuroBertForMaskedLM,EuroBertForSequenceClassification,EuroBertForTokenClassification,EuroBertModel
    model evolla model EvollaForProteinText2Text,EvollaModel
    model exaone4 model Exaone4ForCausalLM,Exaone4ForSequenceClassification,Exaone4ForTokenClassification,Exaone4Model
    model exaone4 transformer Exaone4ForQuestionAnswering
    model exaone4_5 model Exaone4_5_ForConditionalGeneration,Exaone4_5_Model
    model exaone4_5_vision model Exaone4_5_VisionModel
    model exaone_moe model ExaoneMoeForCausalLM,ExaoneMoeModel : exaone_moe
    model falcon transformer FalconForCausalLM,FalconForQuestionAnswering,FalconForSequenceClassification,FalconForTokenClassification,FalconModel
    model falcon_h1 model FalconH1ForCausalLM,FalconH1Model
    model falcon_mamba backbone FalconMambaForCausalLM,FalconMambaModel
    model fastspeech2_conformer fastspeech2_conformer FastSpeech2ConformerModel
    model fastspeech2_conformer_with_hifigan - FastSpeech2ConformerWithHifiGan
    model flaubert transformer FlaubertForMultipleChoice,FlaubertForQuestionAnsweringSimple,FlaubertForSequenceClassification,FlaubertForTokenClassification,FlaubertModel,FlaubertWithLMHeadModel
    model flava flava FlavaForPreTraining,FlavaModel
    model flex_olmo model FlexOlmoForCausalLM,FlexOlmoModel : qwen2_moe
    model flint model FlintForCausalLM,FlintModel : flint
    model florence2 model Florence2ForConditionalGeneration,Florence2Model
    model fnet fnet FNetForMaskedLM,FNetForMultipleChoice,FNetForNextSentencePrediction,FNetForPreTraining,FNetForQuestionAnswering,FNetForSequenceClassification,FNetForTokenClassification,FNetModel
    model focalnet focalnet FocalNetForImageClassification,FocalNetForMaskedImageModeling,FocalNetModel
    model fsmt model FSMTForConditionalGeneration,FSMTModel
    model fun_asr_nano model FunAsrNanoForConditionalGeneration,FunAsrNanoModel
    model fun_asr_nano_encoder model FunAsrNanoEncoder
    model funnel funnel FunnelBaseModel,FunnelForMaskedLM,FunnelForMultipleChoice,FunnelForPreTraining,FunnelForQuestionAnswering,FunnelForSequenceClassification,FunnelForTokenClassification,FunnelModel
    model fuyu model FuyuModel : GraniteSpeechModel
    model fuyu model FuyuForCausalLM : fuyu GraniteSpeechModel@
    model gemma model GemmaForCausalLM,GemmaForSequenceClassification,GemmaForTokenClassification,GemmaModel
    model gemma2 model Gemma2ForCausalLM,Gemma2ForSequenceClassification,Gemma2ForTokenClassification,Gemma2Model
    model gemma3 model Gemma3Model : GraniteSpeechModel CLIPVisionModel@vision_tower
    model gemma3 model Gemma3ForConditionalGeneration,Gemma3ForSequenceClassification : llava GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model gemma3_text model Gemma3ForCausalLM,Gemma3TextForSequenceClassification,Gemma3TextModel
    model gemma3n_audio model Gemma3nAudioEncoder
    model gemma4 model Gemma4ForConditionalGeneration,Gemma4Model
    model gemma4_audio model.audio_tower Gemma4AudioModel
    model gemma4_text model Gemma4ForCausalLM,Gemma4TextModel
    model gemma4_unified model Gemma4UnifiedForConditionalGeneration,Gemma4UnifiedModel : gemma4_unified
    model gemma4_unified_text model Gemma4UnifiedForCausalLM,Gemma4UnifiedTextModel
    model gemma4_vision model Gemma4VisionModel
    model git git GitForCausalLM,GitModel
    model glm model GlmForCausalLM,GlmForSequenceClassification,GlmForTokenClassification,GlmModel
    model glm4 model Glm4ForCausalLM,Glm4ForSequenceClassification,Glm4ForTokenClassification,Glm4Model
    model glm46v model Glm46VForConditionalGeneration,Glm46VModel
    model glm4_moe model Glm4MoeForCausalLM,Glm4MoeModel : qwen2_moe
    model glm4_moe_lite model Glm4MoeLiteForCausalLM,Glm4MoeLiteModel : qwen2_moe
    model glm4v model Glm4vForConditionalGeneration,Glm4vModel
    model glm4v_moe model Glm4vMoeForConditionalGeneration,Glm4vMoeModel : qwen2_moe
    model glm4v_moe_text model Glm4vMoeTextModel
    model glm4v_moe_vision model Glm4vMoeVisionModel
    model glm4v_text model Glm4vTextModel
    model glm4v_vision model Glm4vVisionModel
    model glm5_next model Glm5NextForConditionalGeneration,Glm5NextModel : glm5_next glm5_next@language_model
    model glm5_next_text model Glm5NextTextModel : glm5_next
    model glm5_next_vision model Glm5NextVisionModel
    model glm_image model GlmImageModel
    model glm_image_text model GlmImageTextModel
    model glm_image_vision model GlmImageVisionModel
    model glm_image_vqmodel model GlmImageVQVAE
    model glm_moe_dsa model GlmMoeDsaForCausalLM,GlmMoeDsaModel : qwen2_moe
    model glm_ocr model GlmOcrForConditionalGeneration,GlmOcrModel
    model glm_ocr_text model GlmOcrTextModel
    model glm_ocr_vision model GlmOcrVisionModel
    model glmasr model GlmAsrModel : GraniteSpeechModel
    model glmasr model GlmAsrForConditionalGeneration : qwen2_audio GraniteSpeechModel@
    model glmasr_encoder model GlmAsrEncoder
    model glpn glpn GLPNForDepthEstimation,GLPNModel
    model got_ocr2 model GotOcr2Model : GraniteSpeechModel
    model got_ocr2 model GotOcr2ForConditionalGeneration : llava GraniteSpeechModel@
    model gpt2 transformer GPT2ForQuestionAnswering,GPT2ForSequenceClassification,GPT2ForTokenClassification,GPT2LMHeadModel,GPT2Model
    model gpt_bigcode transformer GPTBigCodeForCausalLM,GPTBigCodeForSequenceClassification,GPTBigCodeForTokenClassification,GPTBigCodeModel
    model gpt_neo transformer GPTNeoForCausalLM,GPTNeoForQuestionAnswering,GPTNeoForSequenceClassification,GPTNeoForTokenClassification,GPTNeoModel
    model gpt_neox gpt_neox GPTNeoXForQuestionAnswering,GPTNeoXForSequenceClassification,GPTNeoXForTokenClassification,GPTNeoXModel
    model gpt_neox gpt_neox GPTNeoXForCausalLM : GPTNeoXForCausalLM
    model gpt_neox_japanese gpt_neox_japanese GPTNeoXJapaneseForCausalLM,GPTNeoXJapaneseModel
    model gpt_oss model GptOssForCausalLM,GptOssForSequenceClassification,GptOssForTokenClassification,GptOssModel
    model gptj transformer GPTJForCausalLM,GPTJForQuestionAnswering,GPTJForSequenceClassification,GPTJModel
    model gradium_phonon_tts model GradiumPhononTTSForConditionalGeneration,GradiumPhononTTSModel : gradium_phonon_tts
    model granite model GraniteForCausalLM,GraniteModel
    model granite_docling model GraniteDoclingForConditionalGeneration,GraniteDoclingModel
    model granite_docling_text model GraniteDoclingTextModel
    model granite_docling_vision model GraniteDoclingVisionModel
    model granite_speech model GraniteSpeechModel : GraniteSpeechModel
    model granite_speech model GraniteSpeechForConditionalGeneration : granite_speech GraniteSpeechModel@
    model granite_speech5_ctc model GraniteSpeech5ForCTC
    model granite_speech5_encoder encoder GraniteSpeech5Encoder
    model granite_speech_plus model GraniteSpeechPlusModel : GraniteSpeechModel
    model granite_speech_plus model GraniteSpeechPlusForConditionalGeneration : granite_speech GraniteSpeechModel@
    model granite_swa model GraniteSWAForCausalLM,GraniteSWAModel
    model granitemoe model GraniteMoeForCausalLM,GraniteMoeModel : granitemoe
    model granitemoe_swa model GraniteMoeSWAForCausalLM,GraniteMoeSWAModel
    model granitemoehybrid model GraniteMoeHybridForCausalLM,GraniteMoeHybridModel : granitemoe
    model granitemoeshared model GraniteMoeSharedForCausalLM,GraniteMoeSharedModel : granitemoe
    model grounding-dino model GroundingDinoForObjectDetection,GroundingDinoModel : SwinBackbone@backbone.conv_encoder.model swin@backbone.conv_encoder.model.swin
    model groupvit groupvit GroupViTModel
    model gte gte GteForMaskedLM,GteForSequenceClassification,GteForTokenClassification,GteModel : gte
    model helium model HeliumForCausalLM,HeliumForSequenceClassification,HeliumForTokenClassification,HeliumModel
    model hgnet_v2 hgnetv2 HGNetV2Backbone,HGNetV2ForImageClassification
    model hiera hiera HieraBackbone,HieraForImageClassification,HieraModel
    model higgs_audio_v2 model HiggsAudioV2ForConditionalGeneration
    model hrm_text model HrmTextForCausalLM,HrmTextModel : hrm_text
    model hubert hubert HubertForCTC,HubertForSequenceClassification,HubertModel
    model hunyuan_vl_vision model HunYuanVLVisionTransformer
    model hy_v3 model HYV3ForCausalLM,HYV3Model : hy_v3
    model hy_v4 model HYV4ForCausalLM,HYV4Model : hy_v4
    model hy_v4_vl model HYV4VLForConditionalGeneration,HYV4VLModel : hy_v4_vl hy_v4@language_model
    model hy_v4_vl_text model HYV4VLTextModel : hy_v4
    model hy_v4_vl_vision model HYV4VLVisionModel
    model hyperclovax model HyperCLOVAXForCausalLM,HyperCLOVAXModel
    model hyperclovax_vision_v2 model HyperCLOVAXVisionV2ForConditionalGeneration,HyperCLOVAXVisionV2Model : hyperclovax_vision_v2
    model ibert ibert IBertForMaskedLM,IBertForMultipleChoice,IBertForQuestionAnswering,IBertForSequenceClassification,IBertForTokenClassification,IBertModel
    model idefics model IdeficsForVisionText2Text,IdeficsModel
    model idefics2 model Idefics2ForConditionalGeneration,Idefics2Model
    model idefics3 model Idefics3ForConditionalGeneration,Idefics3Model
    model idefics3_vision model Idefics3VisionTransformer
    model ijepa ijepa IJepaModel : ViTModel
    model ijepa ijepa IJepaForImageClassification : ViTModel@
    model imagegpt transformer ImageGPTForCausalImageModeling,ImageGPTForImageClassification,ImageGPTModel
    model inkling2 model Inkling2ForConditionalGeneration,Inkling2Model : inkling2 inkling2_text@language_model
    model inkling2_loop model Inkling2LoopForConditionalGeneration,Inkling2LoopModel : inkling2 inkling2_loop_text@language_model
    model inkling2_loop_text model Inkling2LoopForCausalLM,Inkling2LoopTextModel : inkling2_loop_text
    model inkling2_text model Inkling2ForCausalLM,Inkling2TextModel : inkling2_text
    model inkling2_vision model Inkling2VisionModel
    model inkling_text model InklingForCausalLM,InklingTextModel
    model instructblip blip InstructBlipForConditionalGeneration,InstructBlipModel
    model instructblipvideo blip InstructBlipVideoForConditionalGeneration,InstructBlipVideoModel
    model internvl model InternVLModel : GraniteSpeechModel
    model internvl model InternVLForConditionalGeneration : llava GraniteSpeechModel@
    model internvl_vision internvl_vision InternVLVisionModel
    model jais2 model Jais2ForCausalLM,Jais2Model
    model jamba model JambaForCausalLM,JambaForSequenceClassification,JambaModel : jamba
    model janus model JanusForConditionalGeneration,JanusModel
    model jetmoe model JetMoeForCausalLM,JetMoeForSequenceClassification,JetMoeModel
    model jev model JevForDecision : jev apertus1p5_text@
    model jina_embeddings_v3 roberta JinaEmbeddingsV3ForMaskedLM,JinaEmbeddingsV3ForQuestionAnswering,JinaEmbeddingsV3ForSequenceClassification,JinaEmbeddingsV3ForTokenClassification,JinaEmbeddingsV3Model : jina_embeddings_v3
    model kimi_k25 model Kimi_K25ForConditionalGeneration,Kimi_K25Model : kimi_k25 qwen2_moe@language_model
    model kimi_k25_vision model Kimi_K25VisionModel
    model kimi_linear model KimiLinearForCausalLM,KimiLinearModel : kimi_linear
    model kolibri1 model Kolibri1ForCausalLM,Kolibri1Model : kolibri1
    model kosmos-2 - Kosmos2ForConditionalGeneration,Kosmos2Model
    model kosmos-2.5 - Kosmos2_5ForConditionalGeneration,Kosmos2_5Model
    model kyutai_speech_to_text model KyutaiSpeechToTextModel
    model kyutai_speech_to_text model KyutaiSpeechToTextForConditionalGeneration : MimiModel@codec_model MimiEncoderModel@codec_model.encoder MimiDecoderModel@codec_model.decoder
    model laguna model LagunaForCausalLM,LagunaModel : laguna
    model lara_mini model LaraMiniForCausalLM,LaraMiniModel : lara_mini
    model lasr_ctc model LasrForCTC
    model lasr_encoder encoder LasrEncoder
    model layoutlm layoutlm LayoutLMForMaskedLM,LayoutLMForQuestionAnswering,LayoutLMForSequenceClassification,LayoutLMForTokenClassification,LayoutLMModel
    model layoutlmv3 layoutlmv3 LayoutLMv3ForQuestionAnswering,LayoutLMv3ForSequenceClassification,LayoutLMv3ForTokenClassification,LayoutLMv3Model
    model led led LEDForConditionalGeneration,LEDForQuestionAnswering,LEDModel
    model levit levit LevitForImageClassification,LevitForImageClassificationWithTeacher,LevitModel
    model lfm2 model Lfm2ForCausalLM,Lfm2Model
    model lfm2_vl model Lfm2VlForConditionalGeneration,Lfm2VlModel : CLIPVisionModel@vision_tower
    model lfm3 model Lfm3ForCausalLM,Lfm3Model : lfm3
    model lfm3_vl model Lfm3VlForConditionalGeneration,Lfm3VlModel : lfm3@language_model lfm3_vl_vision@vision_tower
    model lfm3_vl_vision model Lfm3VlVisionModel : lfm3_vl_vision
    model lightglue lightglue LightGlueForKeypointMatching
    model lighton_ocr - LightOnOcrModel
    model lighton_ocr model LightOnOcrForConditionalGeneration
    model lilt lilt LiltForQuestionAnswering,LiltForSequenceClassification,LiltForTokenClassification,LiltModel
    model llama model LlamaForCausalLM,LlamaForSequenceClassification,LlamaForTokenClassification,LlamaModel
    model llama transformer LlamaForQuestionAnswering
    model llama4 model Llama4ForConditionalGeneration
    model llama4_text language_model Llama4ForCausalLM
    model llama4_text model Llama4TextModel
    model llama4_vision_model vision_model Llama4VisionModel
    model llava model LlavaModel : GraniteSpeechModel CLIPVisionModel@vision_tower
    model llava model LlavaForConditionalGeneration : llava GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model llava_next model LlavaNextModel : GraniteSpeechModel CLIPVisionModel@vision_tower
    model llava_next model LlavaNextForConditionalGeneration : llava_next GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model llava_next_video model LlavaNextVideoModel : GraniteSpeechModel CLIPVisionModel@vision_tower
    model llava_next_video model LlavaNextVideoForConditionalGeneration : llava_next GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model llava_onevision model LlavaOnevisionModel : GraniteSpeechModel CLIPVisionModel@vision_tower
    model llava_onevision model LlavaOnevisionForConditionalGeneration : llava_next GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model longcat_flash model LongcatFlashForCausalLM,LongcatFlashModel : qwen2_moe
    model longformer longformer LongformerForMaskedLM,LongformerForMultipleChoice,LongformerForQuestionAnswering,LongformerForSequenceClassification,LongformerForTokenClassification,LongformerModel
    model longt5 transformer LongT5ForConditionalGeneration,LongT5Model
    model luke luke LukeForMaskedLM,LukeForMultipleChoice,LukeForQuestionAnswering,LukeForSequenceClassification,LukeForTokenClassification,LukeModel
    model lw_detr model LwDetrForObjectDetection,LwDetrModel : lw_detr
    model lw_detr_vit lw_detr_vit LwDetrViTBackbone
    model lxmert lxmert LxmertForPreTraining,LxmertForQuestionAnswering,LxmertModel
    model m2m_100 model M2M100ForConditionalGeneration,M2M100Model
    model mamba backbone MambaForCausalLM,MambaModel
    model mamba2 backbone Mamba2ForCausalLM,Mamba2Model
    model marian model MarianForCausalLM,MarianMTModel,MarianModel
    model markuplm markuplm MarkupLMForQuestionAnswering,MarkupLMForSequenceClassification,MarkupLMForTokenClassification,MarkupLMModel
    model mask2former model Mask2FormerModel : SwinBackbone@pixel_level_module.encoder swin@pixel_level_module.encoder.swin
    model maskformer model MaskFormerModel : maskformer swin@pixel_level_module.encoder DetrModel@transformer_module.decoder
    model maskformer-swin model MaskFormerSwinBackbone,MaskFormerSwinModel
    model mbart model MBartForCausalLM,MBartForConditionalGeneration,MBartForQuestionAnswering,MBartForSequenceClassification,MBartModel
    model megatron-bert bert MegatronBertForCausalLM,MegatronBertForMaskedLM,MegatronBertForMultipleChoice,MegatronBertForNextSentencePrediction,MegatronBertForPreTraining,MegatronBertForQuestionAnswering,MegatronBertForSequenceClassification,MegatronBertForTokenClassification,MegatronBertModel
    model mellum model MellumForCausalLM,MellumModel : qwen2_moe
    model metaclip_2 metaclip_2 MetaClip2Model : CLIPTextModel@text_model CLIPVisionModel@vision_model
    model metaclip_2 metaclip_2 MetaClip2ForImageClassification : CLIPVisionModel@vision_model
    model mgp-str mgp_str MgpstrForSceneTextRecognition
    model mimi mimi MimiModel : MimiModel MimiEncoderModel@encoder MimiDecoderModel@decoder
    model mimi_decoder decoder MimiDecoderModel : MimiDecoderModel
    model mimi_encoder encoder MimiEncoderModel : MimiEncoderModel
    model mimo_v2_flash model MiMoV2FlashForCausalLM,MiMoV2FlashModel : mimo_v2_flash
    model minicpm3 model MiniCPM3ForCausalLM,MiniCPM3ForSequenceClassification,MiniCPM3Model
    model minicpm_ocr model MiniCPMOcrForConditionalGeneration,MiniCPMOcrModel : apertus1p5_text@language_model
    model minicpm_ocr_vision - MiniCPMOcrVisionModel
    model minicpmv4_6 model MiniCPMV4_6ForConditionalGeneration,MiniCPMV4_6Model : apertus1p5_text@language_model
    model minicpmv4_7 model MiniCPMV4_7ForConditionalGeneration,MiniCPMV4_7Model : apertus1p5_text@language_model
    model minicpmv4_7_vision - MiniCPMV4_7VisionModel
    model minimax model MiniMaxForCausalLM,MiniMaxForQuestionAnswering,MiniMaxForSequenceClassification,MiniMaxForTokenClassification,MiniMaxModel : mixtral
    model minimax_m2 model MiniMaxM2ForCausalLM,MiniMaxM2Model : minimax_m2
    model minimax_m3_vl model MiniMaxM3SparseForConditionalGeneration,MiniMaxM3VLModel : minimax_m3_vl
    model minimax_m3_vl_text model MiniMaxM3VLForCausalLM,MiniMaxM3VLTextModel
    model ministral3 model Ministral3ForCausalLM,Ministral3ForQuestionAnswering,Ministral3ForSequenceClassification,Ministral3ForTokenClassification,Ministral3Model
    model mistral model MistralForCausalLM,MistralForQuestionAnswering,MistralForSequenceClassification,MistralForTokenClassification,MistralModel
    model mistral3 model Mistral3Model : GraniteSpeechModel
    model mistral3 model Mistral3ForConditionalGeneration : llava GraniteSpeechModel@
    model mistral4 model Mistral4ForCausalLM,Mistral4ForSequenceClassification,Mistral4ForTokenClassification,Mistral4Model
    model mistral_large4 model MistralLarge4ForConditionalGeneration,MistralLarge4Model : mistral_large4 mistral_large4_text@language_model
    model mistral_large4_text model MistralLarge4TextModel : mistral_large4_text
    model mixtral model MixtralForCausalLM,MixtralForQuestionAnswering,MixtralForSequenceClassification,MixtralForTokenClassification,MixtralModel : mixtral
    model mlcd_vision_model vision_model MLCDVisionModel
    model mllama model MllamaModel : GraniteSpeechModel
    model mllama model MllamaForConditionalGeneration : mllama GraniteSpeechModel@
    model mllama_text_model language_model MllamaForCausalLM
    model mllama_text_model language_model.model MllamaTextModel
    model mllama_vision_model vision_model MllamaVisionModel
    model mm-grounding-dino model MMGroundingDinoForObjectDetection,MMGroundingDinoModel : SwinBackbone@backbone.conv_encoder.model swin@backbone.conv_encoder.model.swin
    model mobilebert mobilebert MobileBertForMaskedLM,MobileBertForMultipleChoice,MobileBertForNextSentencePrediction,MobileBertForPreTraining,MobileBertForQuestionAnswering,MobileBertForSequenceClassification,MobileBertForTokenClassification,MobileBertModel
    model mobilenet_v1 mobilenet_v1 MobileNetV1ForImageClassification,MobileNetV1Model
    model mobilenet_v2 mobilenet_v2 MobileNetV2ForImageClassification,MobileNetV2ForSemanticSegmentation,MobileNetV2Model
    model mobilevit mobilevit MobileViTForImageClassification,MobileViTForSemanticSegmentation,MobileViTModel
    model mobilevitv2 mobilevitv2 MobileViTV2ForImageClassification,MobileViTV2ForSemanticSegmentation,MobileViTV2Model
    model modernbert model ModernBertForMaskedLM,ModernBertForMultipleChoice,ModernBertForQuestionAnswering,ModernBertForSequenceClassification,ModernBertForTokenClassification,ModernBertModel
    model modernbert-decoder model ModernBertDecoderForCausalLM,ModernBertDecoderForSequenceClassification,ModernBertDecoderModel
    model modernvbert model ModernVBertForMaskedLM,ModernVBertForSequenceClassification,ModernVBertForTokenClassification,ModernVBertModel : CLIPVisionModel@vision_model
    model molmo2 model Molmo2ForConditionalGeneration,Molmo2Model : molmo2 Molmo2TextModel@language_model
    model molmo2_text model Molmo2TextModel : Molmo2TextModel
    model moonshine model MoonshineForConditionalGeneration,MoonshineModel
    model moshi model MoshiForCausalLM,MoshiModel
    model moss_transcribe_diarize model MossTranscribeDiarizeForConditionalGeneration,MossTranscribeDiarizeModel
    model moss_transcribe_diarize_audio model MossTranscribeDiarizeAudioModel
    model mpnet mpnet MPNetForMaskedLM,MPNetForMultipleChoice,MPNetForQuestionAnswering,MPNetForSequenceClassification,MPNetForTokenClassification,MPNetModel
    model mpt transformer MptForCausalLM,MptForQuestionAnswering,MptForSequenceClassification,MptForTokenClassification,MptModel
    model mra mra MraForMaskedLM,MraForMultipleChoice,MraForQuestionAnswering,MraForSequenceClassification,MraForTokenClassification,MraModel
    model mt5 transformer MT5EncoderModel,MT5ForConditionalGeneration,MT5ForQuestionAnswering,MT5ForSequenceClassification,MT5ForTokenClassification,MT5Model
    model muse_glimmer model MuseGlimmerForConditionalGeneration,MuseGlimmerModel
    model muse_glimmer_assistant model MuseGlimmerAssistantModel
    model muse_glimmer_text model MuseGlimmerTextModel
    model muse_glimmer_vision model MuseGlimmerVisionModel
    model muse_spark model MuseSparkForConditionalGeneration,MuseSparkModel
    model muse_spark_audio model MuseSparkAudioModel
    model muse_spark_text model MuseSparkTextModel
    model muse_spark_vision model MuseSparkVisionModel
    model musicflamingo model MusicFlamingoModel : GraniteSpeechModel
    model musicflamingo model MusicFlamingoForConditionalGeneration : qwen2_audio GraniteSpeechModel@
    model musicgen encoder_decoder MusicgenForConditionalGeneration
    model musicgen_decoder model MusicgenForCausalLM,MusicgenModel
    model musicgen_melody - MusicgenMelodyForConditionalGeneration
    model musicgen_melody_decoder model MusicgenMelodyForCausalLM,MusicgenMelodyModel
    model mvp model MvpForCausalLM,MvpForConditionalGeneration,MvpForQuestionAnswering,MvpForSequenceClassification,MvpModel
    model nanochat model NanoChatForCausalLM,NanoChatModel
    model nemo_speechlm model Nemotron3_5TranscribeForConditionalGeneration,Nemotron3_5TranscribeModel : nemo_speechlm nemotron_h@language_model
    model nemotron3_5_asr model Nemotron3_5AsrForRNNT
    model nemotron3_5_transcribe_asr_audio model Nemotron3_5TranscribeAsrAudioModel
    model nemotron3_5_transcribe_audio model Nemotron3_5TranscribeAudioModel
    model nemotron3_5_transcribe_word_timestamp model Nemotron3_5TranscribeWordTimestampModel
    model nemotron3_diarization model Nemotron3DiarizationForAudioFrameClassification,Nemotron3DiarizationModel
    model nemotron3_diarization_audio model Nemotron3DiarizationAudioModel
    model nemotron_asr_streaming model NemotronAsrStreamingForRNNT
    model nemotron_asr_streaming_encoder encoder NemotronAsrStreamingEncoder
    model nemotron_h model NemotronHForCausalLM,NemotronHModel : nemotron_h
    model nemotron_h_omni - NemotronH_Omni_Reasoning_V3 : NemotronH_Omni_Reasoning_V3 nemotron_h@language_model radio@vision_model
    model neucodec neucodec NeuCodecModel
    model nllb-moe model NllbMoeForConditionalGeneration,NllbMoeModel
    model nomic_bert nomic_bert NomicBertForMaskedLM,NomicBertForSequenceClassification,NomicBertForTokenClassification,NomicBertModel : nomic_bert
    model nystromformer nystromformer NystromformerForMaskedLM,NystromformerForMultipleChoice,NystromformerForQuestionAnswering,NystromformerForSequenceClassification,NystromformerForTokenClassification,NystromformerModel
    model olmo model OlmoForCausalLM,OlmoForSequenceClassification,OlmoModel
    model olmo2 model Olmo2ForCausalLM,Olmo2ForSequenceClassification,Olmo2Model
    model olmo3 model Olmo3ForCausalLM,Olmo3ForSequenceClassification,Olmo3Model
    model olmo_hybrid model OlmoHybridForCausalLM,OlmoHybridModel : olmo_hybrid
    model olmoe model OlmoeForCausalLM,OlmoeModel : qwen2_moe
    model omniasr model OmniASRForConditionalGeneration,OmniASRModel
    model omniasr_audio model OmniASRAudioModel
    model omniasr_ctc model OmniASRCTCModel,OmniASRForCTC
    model oneformer model OneFormerModel : SwinBackbone@pixel_level_module.encoder swin@pixel_level_module.encoder.swin
    model openai-gpt transformer OpenAIGPTForSequenceClassification,OpenAIGPTLMHeadModel,OpenAIGPTModel
    model openai_privacy_filter model OpenAIPrivacyFilterForTokenClassification,OpenAIPrivacyFilterModel
    model opt model OPTForCausalLM,OPTForQuestionAnswering,OPTForSequenceClassification,OPTModel
    model ovis2 model Ovis2ForConditionalGeneration,Ovis2Model
    model owlv2 owlv2 Owlv2ForObjectDetection,Owlv2Model
    model owlvit owlvit OwlViTForObjectDetection,OwlViTModel
    model paddleocr_vl model PaddleOCRVLForConditionalGeneration,PaddleOCRVLModel : paddleocr_vl
    model paligemma model PaliGemmaModel : GraniteSpeechModel CLIPVisionModel@vision_tower
    model paligemma model PaliGemmaForConditionalGeneration : llava GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model parakeet_ctc model ParakeetForCTC
    model parakeet_encoder encoder ParakeetEncoder
    model parakeet_rnnt model ParakeetForRNNT
    model parakeet_tdt model ParakeetForTDT
    model patchtsmixer model PatchTSMixerForRegression,PatchTSMixerForTimeSeriesClassification,PatchTSMixerModel
    model patchtst model PatchTSTForClassification,PatchTSTForRegression,PatchTSTModel
    model pe_audio audio_model PeAudioModel
    model pe_audio_encoder audio_model.audio_encoder PeAudioEncoder
    model pegasus model PegasusForCausalLM,PegasusForConditionalGeneration,PegasusModel
    model pegasus_x model PegasusXForConditionalGeneration,PegasusXModel
    model perceiver perceiver PerceiverForImageClassificationLearned,PerceiverForMaskedLM,PerceiverForSequenceClassification,PerceiverModel
    model persimmon model PersimmonForCausalLM,PersimmonForSequenceClassification,PersimmonForTokenClassification,PersimmonModel
    model phi model PhiForCausalLM,PhiForSequenceClassification,PhiForTokenClassification,PhiModel
    model phi3 model Phi3ForCausalLM,Phi3ForSequenceClassification,Phi3ForTokenClassification,Phi3Model
    model phi4_multimodal model Phi4MultimodalForCausalLM,Phi4MultimodalModel
    model phimoe model PhimoeForCausalLM,PhimoeForSequenceClassification,PhimoeModel : phimoe
    model pi0 model PI0ForConditionalGeneration,PI0Model : pi0 GraniteSpeechModel@vlm CLIPVisionModel@vlm.vision_tower
    model pix2struct - Pix2StructForConditionalGeneration
    model pixio pixio PixioBackbone,PixioModel : pixio
    model pixtral vision_encoder PixtralVisionModel
    model plbart model PLBartForCausalLM,PLBartForConditionalGeneration,PLBartForSequenceClassification,PLBartModel
    model pocket_tts model PocketTTSForConditionalGeneration,PocketTTSModel
    model pocket_tts_audio_tokenizer pocket_tts_audio_tokenizer PocketTTSAudioTokenizerModel
    model pocket_tts_audio_tokenizer_decoder decoder PocketTTSAudioTokenizerDecoderModel
    model pocket_tts_audio_tokenizer_encoder encoder PocketTTSAudioTokenizerEncoderModel
    model poolformer poolformer PoolFormerForImageClassification,PoolFormerModel
    model pop2piano transformer Pop2PianoForConditionalGeneration
    model pp_doclayout_v2 model PPDocLayoutV2ForObjectDetection : rt_detr
    model pp_doclayout_v3 model PPDocLayoutV3ForObjectDetection,PPDocLayoutV3Model : rt_detr
    model pp_doclayout_v4 model PPDocLayoutV4ForObjectDetection,PPDocLayoutV4Model : pp_doclayout_v4
    model pp_formulanet model PPFormulaNetForConditionalGeneration
    model pp_lcnet model PPLCNetBackbone,PPLCNetForImageClassification
    model pp_lcnet_v3 model PPLCNetV3Backbone
    model pp_lcnet_v4 model PPLCNetV4Backbone
    model pp_ocrv5_mobile_det model PPOCRV5MobileDetForObjectDetection
    model pp_ocrv5_mobile_rec model PPOCRV5MobileRecForTextRecognition,PPOCRV5MobileRecModel
    model pp_ocrv5_server_rec model PPOCRV5ServerRecForTextRecognition,PPOCRV5ServerRecModel
    model pp_ocrv6_small_det model PPOCRV6SmallDetForObjectDetection,PPOCRV6SmallDetModel
    model pp_ocrv6_small_rec model PPOCRV6SmallRecForTextRecognition,PPOCRV6SmallRecModel
    model pp_ocrv6_tiny_rec model PPOCRV6TinyRecForTextRecognition,PPOCRV6TinyRecModel
    model prompt_depth_anything prompt_depth_anything PromptDepthAnythingForDepthEstimation : Dinov2Model@backbone
    model prophetnet prophetnet ProphetNetForCausalLM,ProphetNetForConditionalGeneration,ProphetNetModel
    model pvt pvt PvtForImageClassification,PvtModel
    model pvt_v2 pvt_v2 PvtV2Backbone,PvtV2ForImageClassification,PvtV2Model
    model qianfan_ocr model QianfanOCRForConditionalGeneration,QianfanOCRModel : qianfan_ocr
    model qianfan_ocr_vision vision_model QianfanOCRVisionModel
    model qwen2 model Qwen2ForCausalLM,Qwen2ForSequenceClassification,Qwen2ForTokenClassification,Qwen2Model
    model qwen2 transformer Qwen2ForQuestionAnswering
    model qwen2_5_omni model Qwen2_5OmniForConditionalGeneration : Qwen2_5OmniThinkerForConditionalGeneration@thinker Qwen2_5OmniThinkerModel@thinker.model
    model qwen2_5_omni_thinker model Qwen2_5OmniThinkerForConditionalGeneration : Qwen2_5OmniThinkerForConditionalGeneration Qwen2_5OmniThinkerModel@
    model qwen2_5_omni_thinker model Qwen2_5OmniThinkerModel : Qwen2_5OmniThinkerModel
    model qwen2_5_vl model Qwen2_5_VLForConditionalGeneration : Qwen2VLForConditionalGeneration Qwen2VLModel@
    model qwen2_5_vl model Qwen2_5_VLModel : Qwen2VLModel
    model qwen2_5_vl_text model Qwen2_5_VLTextModel
    model qwen2_5_vl_vision model Qwen2_5_VisionTransformerPretrainedModel
    model qwen2_audio model Qwen2AudioModel : GraniteSpeechModel
    model qwen2_audio model Qwen2AudioForConditionalGeneration : qwen2_audio GraniteSpeechModel@
    model qwen2_audio_encoder model Qwen2AudioEncoder
    model qwen2_moe model Qwen2MoeForCausalLM,Qwen2MoeForQuestionAnswering,Qwen2MoeForSequenceClassification,Qwen2MoeForTokenClassification,Qwen2MoeModel : qwen2_moe
    model qwen2_vl model Qwen2VLForConditionalGeneration : Qwen2VLForConditionalGeneration Qwen2VLModel@
    model qwen2_vl model Qwen2VLModel : Qwen2VLModel
    model qwen2_vl_text model Qwen2VLTextModel
    model qwen3 model Qwen3ForCausalLM,Qwen3ForSequenceClassification,Qwen3ForTokenClassification,Qwen3Model
    model qwen3 transformer Qwen3ForQuestionAnswering
    model qwen3_5 model Qwen3_5ForConditionalGeneration,Qwen3_5ForSequenceClassification,Qwen3_5ForTokenClassification,Qwen3_5Model : apertus1p5_text@language_model
    model qwen3_5_moe model Qwen3_5MoeForConditionalGeneration,Qwen3_5MoeModel : qwen4_exp_text@language_model
    model qwen3_5_moe_text model Qwen3_5MoeForCausalLM,Qwen3_5MoeTextModel : qwen4_exp_text
    model qwen3_5_moe_vision model Qwen3_5MoeVisionModel
    model qwen3_5_text model Qwen3_5ForCausalLM,Qwen3_5TextForSequenceClassification,Qwen3_5TextModel : apertus1p5_text
    model qwen3_5_vision model Qwen3_5VisionModel
    model qwen3_asr model Qwen3ASRForConditionalGeneration,Qwen3ASRForTokenClassification,Qwen3ASRModel
    model qwen3_asr_encoder model Qwen3ASREncoder
    model qwen3_moe model Qwen3MoeForCausalLM,Qwen3MoeForSequenceClassification,Qwen3MoeForTokenClassification,Qwen3MoeModel : qwen2_moe
    model qwen3_moe transformer Qwen3MoeForQuestionAnswering : qwen2_moe
    model qwen3_next model Qwen3NextForCausalLM,Qwen3NextForSequenceClassification,Qwen3NextForTokenClassification,Qwen3NextModel : qwen2_moe
    model qwen3_next transformer Qwen3NextForQuestionAnswering : qwen2_moe
    model qwen3_omni_moe_thinker model Qwen3OmniMoeThinkerForConditionalGeneration : Qwen2_5OmniThinkerForConditionalGeneration Qwen2_5OmniThinkerModel@ qwen2_moe@language_model
    model qwen3_omni_moe_thinker model Qwen3OmniMoeThinkerModel : Qwen2_5OmniThinkerModel qwen2_moe@language_model
    model qwen3_vl model Qwen3VLForConditionalGeneration,Qwen3VLModel
    model qwen3_vl_moe model Qwen3VLMoeForConditionalGeneration,Qwen3VLMoeModel
    model qwen3_vl_moe_text model Qwen3VLMoeTextModel
    model qwen3_vl_moe_vision model Qwen3VLMoeVisionModel
    model qwen3_vl_text model Qwen3VLTextModel
    model qwen3_vl_vision model Qwen3VLVisionModel
    model qwen4_exp model Qwen4ExpForConditionalGeneration,Qwen4ExpModel : qwen4_exp_text@language_model
    model qwen4_exp_text model Qwen4ExpForCausalLM,Qwen4ExpTextModel : qwen4_exp_text
    model qwen4_exp_vision model Qwen4ExpVisionModel
    model radio model RadioModel : radio
    model recurrent_gemma model RecurrentGemmaForCausalLM,RecurrentGemmaModel
    model reformer reformer ReformerForMaskedLM,ReformerForQuestionAnswering,ReformerForSequenceClassification,ReformerModel
    model regnet regnet RegNetForImageClassification,RegNetModel
    model rembert rembert RemBertForCausalLM,RemBertForMaskedLM,RemBertForMultipleChoice,RemBertForQuestionAnswering,RemBertForSequenceClassification,RemBertForTokenClassification,RemBertModel
    model resnet resnet ResNetBackbone,ResNetForImageClassification,ResNetModel
    model rf_detr model RfDetrForInstanceSegmentation : RfDetrForInstanceSegmentation RfDetrForObjectDetection@ RfDetrModel@model
    model rf_detr model RfDetrForObjectDetection : RfDetrForObjectDetection RfDetrModel@
    model rf_detr model RfDetrModel : RfDetrModel
    model rf_detr_dinov2 rf_detr_dinov2 RfDetrDinov2Backbone
    model roberta roberta RobertaForCausalLM,RobertaForMaskedLM,RobertaForMultipleChoice,RobertaForQuestionAnswering,RobertaForSequenceClassification,RobertaForTokenClassification,RobertaModel
    model roberta-prelayernorm roberta_prelayernorm RobertaPreLayerNormForCausalLM,RobertaPreLayerNormForMaskedLM,RobertaPreLayerNormForMultipleChoice,RobertaPreLayerNormForQuestionAnswering,RobertaPreLayerNormForSequenceClassification,RobertaPreLayerNormForTokenClassification,RobertaPreLayerNormModel
    model roc_bert roc_bert RoCBertForCausalLM,RoCBertForMaskedLM,RoCBertForMultipleChoice,RoCBertForPreTraining,RoCBertForQuestionAnswering,RoCBertForSequenceClassification,RoCBertForTokenClassification,RoCBertModel
    model roformer roformer RoFormerForCausalLM,RoFormerForMaskedLM,RoFormerForMultipleChoice,RoFormerForQuestionAnswering,RoFormerForSequenceClassification,RoFormerForTokenClassification,RoFormerModel
    model rt_detr model RTDetrForObjectDetection,RTDetrModel : rt_detr
    model rt_detr_resnet resnet RTDetrResNetBackbone
    model rt_detr_v2 model RTDetrV2ForObjectDetection,RTDetrV2Model : rt_detr
    model rwkv rwkv RwkvForCausalLM,RwkvModel
    model sam sam SamModel
    model sam2 sam2 Sam2Model
    model sam2_hiera_det_model sam2 Sam2HieraDetModel
    model sam2_video sam2_video Sam2VideoModel
    model sam2_vision_model sam2 Sam2VisionModel
    model sam3 detector_model Sam3Model : CLIPTextModel@text_encoder.text_model
    model sam3_lite_text detector_model Sam3LiteTextModel
    model sam3_lite_text_text_model model Sam3LiteTextTextModel
    model sam3_tracker sam3_tracker Sam3TrackerModel : sam3_tracker
    model sam3_tracker_video tracker_model Sam3TrackerVideoModel : sam3_tracker
    model sam3_video sam3_video Sam3VideoModel : CLIPTextModel@detector_model.text_encoder.text_model sam3_tracker@tracker_model
    model sam3_vision_model sam3 Sam3VisionModel
    model sam3_vit_model sam3 Sam3ViTModel
    model sam_hq sam_hq SamHQModel
    model sam_hq_vision_model sam_hq SamHQVisionModel
    model sam_vision_model sam SamVisionModel
    model sapiens2 model Sapiens2Backbone,Sapiens2Model : sapiens2
    model seamless_m4t seamless_m4t SeamlessM4TForSpeechToText,SeamlessM4TForTextToSpeech,SeamlessM4TForTextToText,SeamlessM4TModel
    model seamless_m4t_v2 seamless_m4t_v2 SeamlessM4Tv2ForSpeechToText,SeamlessM4Tv2ForTextToSpeech,SeamlessM4Tv2ForTextToText,SeamlessM4Tv2Model
    model seed_oss model SeedOssForCausalLM,SeedOssForSequenceClassification,SeedOssForTokenClassification,SeedOssModel
    model seed_oss transformer SeedOssForQuestionAnswering
    model segformer segformer SegformerForSemanticSegmentation : SegformerForSemanticSegmentation SegformerModel@
    model segformer segformer SegformerModel : SegformerModel
    model segformer segformer SegformerForImageClassification : SegformerModel@
    model seggpt model SegGptModel
    model sew sew SEWForCTC,SEWForSequenceClassification,SEWModel
    model sew-d sew_d SEWDForCTC,SEWDForSequenceClassification,SEWDModel
    model shieldgemma2 model ShieldGemma2ForImageClassification : shieldgemma2 GraniteSpeechModel@model CLIPVisionModel@model.vision_tower
    model siglip siglip SiglipModel : CLIPTextModel@text_model CLIPVisionModel@vision_model
    model siglip siglip SiglipForImageClassification : CLIPVisionModel@vision_model
    model siglip2 siglip2 Siglip2Model : CLIPTextModel@text_model CLIPVisionModel@vision_model
    model siglip2 siglip2 Siglip2ForImageClassification : CLIPVisionModel@vision_model
    model siglip2_vision_model vision_model Siglip2VisionModel : CLIPVisionModel
    model siglip_vision_model vision_model SiglipVisionModel : CLIPVisionModel
    model slanet backbone SLANetForTableRecognition
    model slanext backbone SLANeXtForTableRecognition
    model smollm3 model SmolLM3ForCausalLM,SmolLM3ForSequenceClassification,SmolLM3ForTokenClassification,SmolLM3Model
    model smollm3 transformer SmolLM3ForQuestionAnswering
    model smolvlm model SmolVLMForConditionalGeneration,SmolVLMModel
    model smolvlm_vision model SmolVLMVisionTransformer
    model solar_open model SolarOpenForCausalLM,SolarOpenModel : qwen2_moe
    model speech-encoder-decoder speech_encoder_decoder SpeechEncoderDecoderModel
    model speech_to_text model Speech2TextForConditionalGeneration,Speech2TextModel
    model speecht5 speecht5 SpeechT5ForSpeechToText,SpeechT5ForTextToSpeech,SpeechT5Model
    model splinter splinter SplinterForPreTraining,SplinterForQuestionAnswering,SplinterModel
    model squeezebert transformer SqueezeBertForMaskedLM,SqueezeBertForMultipleChoice,SqueezeBertForQuestionAnswering,SqueezeBertForSequenceClassification,SqueezeBertForTokenClassification,SqueezeBertModel
    model stablelm model StableLmForCausalLM,StableLmForSequenceClassification,StableLmForTokenClassification,StableLmModel
    model starcoder2 model Starcoder2ForCausalLM,Starcoder2ForSequenceClassification,Starcoder2ForTokenClassification,Starcoder2Model
    model step3p7 model Step3p7ForConditionalGeneration,Step3p7Model : step3p7 step3p5_vision@vision_model
    model superglue superglue SuperGlueForKeypointMatching
    model superpoint superpoint SuperPointForKeypointDetection
    model swiftformer swiftformer SwiftFormerForImageClassification,SwiftFormerModel
    model swin swin SwinBackbone : SwinBackbone swin@
    model swin swin SwinForImageClassification,SwinForMaskedImageModeling,SwinModel : swin
    model swin2sr swin2sr Swin2SRForImageSuperResolution,Swin2SRModel
    model swinv2 swinv2 Swinv2Backbone,Swinv2ForImageClassification,Swinv2ForMaskedImageModeling,Swinv2Model
    model switch_transformers switch_transformers SwitchTransformersForConditionalGeneration,SwitchTransformersModel
    model t5 transformer T5EncoderModel,T5ForConditionalGeneration,T5ForQuestionAnswering,T5ForSequenceClassification,T5ForTokenClassification,T5Model
    model t5gemma model T5GemmaForConditionalGeneration,T5GemmaForSequenceClassification,T5GemmaForTokenClassification,T5GemmaModel
    model t5gemma2 model T5Gemma2ForConditionalGeneration,T5Gemma2ForSequenceClassification,T5Gemma2ForTokenClassification,T5Gemma2Model : t5gemma2_encoder@encoder CLIPVisionModel@encoder.vision_tower
    model tapas tapas TapasForMaskedLM,TapasForQuestionAnswering,TapasForSequenceClassification,TapasModel
    model textnet textnet TextNetBackbone,TextNetForImageClassification,TextNetModel
    model timesfm decoder TimesFmModel,TimesFmModelForPrediction
    model timesfm2_5 model TimesFm2_5Model,TimesFm2_5ModelForPrediction : timesfm2_5
    model timesformer timesformer TimesformerForVideoClassification,TimesformerModel
    model tipsv2 model Tipsv2Model : tipsv2 Tipsv2TextModel@text_model Tipsv2VisionModel@vision_model
    model tipsv2_dpt backbone Tipsv2DptForDepthEstimation : Tipsv2DptForDepthEstimation Tipsv2VisionModel@
    model tipsv2_dpt backbone Tipsv2DptForNormalEstimation : Tipsv2DptForNormalEstimation Tipsv2VisionModel@
    model tipsv2_dpt backbone Tipsv2DptForSemanticSegmentation : Tipsv2DptForSemanticSegmentation Tipsv2VisionModel@
    model tipsv2_text_model text_model Tipsv2TextModel : Tipsv2TextModel
    model tipsv2_vision_model vision_model Tipsv2VisionBackbone,Tipsv2VisionModel : Tipsv2VisionModel
    model trocr model TrOCRForCausalLM
    model tvp model TvpModel
    model udop transformer UdopForConditionalGeneration,UdopModel
    model ultrabert model UltrabertForMaskedLM : UltrabertForMaskedLM UltrabertModel@
    model ultrabert model UltrabertForQuestionAnswering,UltrabertForSequenceClassification,UltrabertForTokenClassification : UltrabertForQuestionAnswering UltrabertModel@
    model ultrabert model UltrabertModel : UltrabertModel
    model ultravbert model UltraVBertForSequenceClassification,UltraVBertForTokenClassification,UltraVBertModel : CLIPVisionModel@vision_model UltrabertModel@text_model
    model ultravbert model UltraVBertForMaskedLM : UltraVBertForMaskedLM CLIPVisionModel@vision_model UltrabertModel@text_model
    model umt5 transformer UMT5EncoderModel,UMT5ForConditionalGeneration,UMT5ForQuestionAnswering,UMT5ForSequenceClassification,UMT5ForTokenClassification,UMT5Model
    model unispeech unispeech UniSpeechForCTC,UniSpeechForPreTraining,UniSpeechForSequenceClassification,UniSpeechModel
    model unispeech-sat unispeech_sat UniSpeechSatForAudioFrameClassification,UniSpeechSatForCTC,UniSpeechSatForPreTraining,UniSpeechSatForSequenceClassification,UniSpeechSatForXVector,UniSpeechSatModel
    model univnet - UnivNetModel
    model unlimited_ocr model UnlimitedOcrForConditionalGeneration,UnlimitedOcrModel : UnlimitedOcrSamVisionEncoder@vision_tower.sam_encoder UnlimitedOcrVisionEncoder@vision_tower.vision_encoder qwen2_moe@language_model
    model upernet - UperNetForSemanticSegmentation
    model uvdoc model UVDocModel
    model uvdoc_backbone backbone UVDocBackbone
    model vaultgemma model VaultGemmaForCausalLM,VaultGemmaModel
    model vibevoice model VibeVoiceForConditionalGeneration
    model vibevoice_acoustic_tokenizer vibevoice_acoustic_tokenizer VibeVoiceAcousticTokenizerModel
    model vibevoice_acoustic_tokenizer_decoder vibevoice_acoustic_tokenizer VibeVoiceAcousticTokenizerDecoderModel
    model vibevoice_acoustic_tokenizer_encoder vibevoice_acoustic_tokenizer VibeVoiceAcousticTokenizerEncoderModel
    model vibevoice_asr model VibeVoiceAsrModel : GraniteSpeechModel
    model vibevoice_asr model VibeVoiceAsrForConditionalGeneration : vibevoice_asr GraniteSpeechModel@
    model video_llama_3 model VideoLlama3ForConditionalGeneration,VideoLlama3Model
    model video_llama_3_vision model VideoLlama3VisionModel
    model video_llava model VideoLlavaModel : GraniteSpeechModel CLIPVisionModel@video_tower CLIPVisionModel@image_tower
    model video_llava model VideoLlavaForConditionalGeneration : video_llava GraniteSpeechModel@ CLIPVisionModel@video_tower CLIPVisionModel@image_tower
    model videomae videomae VideoMAEForPreTraining,VideoMAEForVideoClassification,VideoMAEModel : videomae
    model videoprism model VideoPrismClipModel
    model videoprism_vision_model vision_model VideoPrismForVideoClassification,VideoPrismVisionModel
    model vilt vilt ViltForQuestionAnswering,ViltModel
    model vipllava model VipLlavaModel : GraniteSpeechModel CLIPVisionModel@vision_tower
    model vipllava model VipLlavaForConditionalGeneration : llava GraniteSpeechModel@ CLIPVisionModel@vision_tower
    model vision-encoder-decoder vision_encoder_decoder VisionEncoderDecoderModel : ViTModel@encoder
    model vision-text-dual-encoder vision_text_dual_encoder VisionTextDualEncoderModel : ViTModel@vision_model
    model visual_bert visual_bert VisualBertForPreTraining,VisualBertModel
    model vit vit ViTModel : ViTModel
    model vit vit ViTForImageClassification,ViTForMaskedImageModeling : ViTModel@
    model vit_mae vit ViTMAEForPreTraining : ViTMAEForPreTraining ViTModel@
    model vit_mae vit ViTMAEModel : ViTModel
    model vit_msn vit ViTMSNForImageClassification : ViTMSNForImageClassification ViTModel@
    model vit_msn vit ViTMSNModel : ViTModel
    model vitdet vitdet VitDetBackbone,VitDetModel
    model vitpose vit VitPoseForPoseEstimation
    model vitpose_backbone vit VitPoseBackbone
    model vits vits VitsModel
    model vivit vivit VivitModel : ViTModel
    model vivit vivit VivitForVideoClassification : ViTModel@
    model vjepa2 vjepa2 VJEPA2ForVideoClassification,VJEPA2Model
    model voxtral model VoxtralModel : GraniteSpeechModel
    model voxtral model VoxtralForConditionalGeneration : qwen2_audio GraniteSpeechModel@
    model voxtral_encoder model VoxtralEncoder
    model voxtral_realtime model VoxtralRealtimeModel : GraniteSpeechModel
    model voxtral_realtime model VoxtralRealtimeForConditionalGeneration : qwen2_audio GraniteSpeechModel@
    model voxtral_realtime_encoder model VoxtralRealtimeEncoder
    model wav2vec2 wav2vec2 Wav2Vec2ForAudioFrameClassification,Wav2Vec2ForCTC,Wav2Vec2ForPreTraining,Wav2Vec2ForSequenceClassification,Wav2Vec2ForXVector,Wav2Vec2Model
    model wav2vec2-bert wav2vec2_bert Wav2Vec2BertForAudioFrameClassification,Wav2Vec2BertForSequenceClassification,Wav2Vec2BertForXVector,Wav2Vec2BertModel
    model wav2vec2-conformer wav2vec2_conformer Wav2Vec2ConformerForAudioFrameClassification,Wav2Vec2ConformerForPreTraining,Wav2Vec2ConformerForSequenceClassification,Wav2Vec2ConformerForXVector,Wav2Vec2ConformerModel
    model wavlm wavlm WavLMForAudioFrameClassification,WavLMForCTC,WavLMForSequenceClassification,WavLMForXVector,WavLMModel
    model wavtokenizer encoder_model WavTokenizerModel
    model wavtokenizer_encoder encoder_model WavTokenizerEncoderModel
    model whisper model WhisperForAudioClassification,WhisperForCausalLM,WhisperForConditionalGeneration,WhisperModel
    model xclip x_clip XCLIPModel
    model xcodec xcodec XcodecModel
    model xcodec2 xcodec2 Xcodec2Model
    model xglm model XGLMForCausalLM,XGLMModel
    model xlm transformer XLMForMultipleChoice,XLMForQuestionAnsweringSimple,XLMForSequenceClassification,XLMForTokenClassification,XLMModel,XLMWithLMHeadModel
    model xlm-roberta roberta XLMRobertaForCausalLM,XLMRobertaForMaskedLM,XLMRobertaForMultipleChoice,XLMRobertaForQuestionAnswering,XLMRobertaForSequenceClassification,XLMRobertaForTokenClassification,XLMRobertaModel
    model xlm-roberta-xl roberta XLMRobertaXLForCausalLM,XLMRobertaXLForMaskedLM,XLMRobertaXLForMultipleChoice,XLMRobertaXLForQuestionAnswering,XLMRobertaXLForSequenceClassification,XLMRobertaXLForTokenClassification,XLMRobertaXLModel
    model xlnet transformer XLNetForMultipleChoice,XLNetForQuestionAnsweringSimple,XLNetForSequenceClassification,XLNetForTokenClassification,XLNetLMHeadModel,XLNetModel
    model xlstm backbone xLSTMForCausalLM,xLSTMModel
    model xmod roberta XmodForCausalLM,XmodForMaskedLM,XmodForMultipleChoice,XmodForQuestionAnswering,XmodForSequenceClassification,XmodForTokenClassification,XmodModel
    model yolos vit YolosForObjectDetection,YolosModel : yolos
    model yoso yoso YosoForMaskedLM,YosoForMultipleChoice,YosoForQuestionAnswering,YosoForSequenceClassification,YosoForTokenClassification,YosoModel
    model youtu model YoutuForCausalLM,YoutuModel
    model zamba model ZambaForCausalLM,ZambaForSequenceClassification,ZambaModel
    model zamba2 model Zamba2ForCausalLM,Zamba2ForSequenceClassification,Zamba2Model
    model zaya model ZayaForCausalLM,ZayaModel
    model zoedepth zoedepth ZoeDepthForDepthEstimation : BeitBackbone@backbone BeitModel@backbone.beit
    """#
}
